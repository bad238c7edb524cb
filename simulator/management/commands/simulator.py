from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from simulator import configuration, courier
from simulator.standalone import make_server


class Command(BaseCommand):
    """Serve the simulator without the shop; give the shop DARAJA_BASE_URL=http://<host>:<port>."""

    help = (
        "Stand in for Safaricom on a port of its own until Ctrl-C or SIGTERM; "
        "the shop finds it with DARAJA_BASE_URL=http://HOST:PORT. Both need the same MPESA_* values."
    )
    requires_system_checks: list[str] = []  # most of them are about the shop

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8010, help="the port to listen on; 8010 unless given")
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; 127.0.0.1 unless given")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        if problems := configuration.problems():
            raise CommandError("\n".join(problems))
        try:
            server = make_server(host, port)
        except (OSError, OverflowError) as error:
            raise CommandError(f"Cannot listen on {host}:{port}: {error}.") from None
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        courier.wake_if_needed()
        self.stdout.write(f"Simulator: http://{host}:{server.server_port}/phone/")
        self.stdout.flush()
        _wait_for_the_end()
        server.shutdown()
        server.server_close()
        courier.stop(timeout=1)


def _wait_for_the_end() -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
