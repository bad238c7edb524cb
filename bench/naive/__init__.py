"""What every tutorial builds: a sync view, the default middlewares, save(), async_to_sync(group_send) after commit."""
