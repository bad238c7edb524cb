"""The application for a server that is none of ours, with the collector as `manage.py worker` sets it."""

from __future__ import annotations

import gc

from asgi import application as application

gc.collect()
gc.freeze()
gc.set_threshold(100_000, 50, 1000)
