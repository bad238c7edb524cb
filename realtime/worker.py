"""uvicorn, as a production worker runs it: bounded, quiet, and gentle at its end."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from typing import Any

import structlog
import uvicorn
from django.conf import settings

from middleware import LARGEST_SOCKET_MESSAGE
from realtime import life

log = structlog.get_logger(__name__)

# New objects, then walks of the young, then of the middle-aged, before each generation is walked. A walk is a pause, so
# there are few. But each request leaves a ring behind it, and those that were being answered during a walk are found
# only by one of the next generation: with 50 for the second, 44 minutes at 3 payments a second left 19 MiB of them.
COLLECT_AFTER = (100_000, 5, 100)
KEEP_ALIVE_SECONDS = 75  # longer than a proxy keeps an idle connection, so that it is never the one surprised


class Worker(uvicorn.Server):
    """One production process; `notice`: seconds between the red `/readyz` and the end of taking work."""

    notice = 1.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("worker.serving", host=self.config.host, port=self.config.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await life.drain(notice=self.notice)
        await super().shutdown(sockets)


def configured(application: Any, *, host: str, port: int) -> uvicorn.Config:
    """Return how a worker serves `application`."""
    return uvicorn.Config(
        application,
        host=host.strip("[]"),
        port=port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=LARGEST_SOCKET_MESSAGE,
        ws_max_queue=4,
        ws_per_message_deflate=False,  # doubles a socket's memory for messages of a kilobyte
        ws_ping_interval=None,  # the page's own heartbeat tells more, and sooner
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=life.longest_request(),
        lifespan="on",
        proxy_headers=False,  # TRUSTED_PROXIES decides, in middleware.py
        server_header=False,
        access_log=False,  # paths carry the secret tokens of callbacks
        log_config=None,
    )


def serve(application: Any) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_well)  # uvicorn takes them over, and hands them back when it has ended
    gc.collect()
    gc.freeze()  # what is loaded now stays: no need to walk it again while customers wait
    gc.set_threshold(*COLLECT_AFTER)
    Worker(configured(application, host=settings.HOST, port=settings.PORT)).run()


def _end_well(number: int, frame: Any) -> None:
    sys.exit(0)
