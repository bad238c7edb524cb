"""Everything of one Papo as processes, with a proxy on every way between them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from tests.faults.rig.proxy import Network, Proxy, running_network
from tests.server import REPOSITORY, RunningServer
from tests.services import free_port, running_services

QUERY_AFTER, EXPIRE_AFTER = 2, 30  # seconds
CREDENTIALS = {
    "MPESA_CONSUMER_KEY": "rig-key",
    "MPESA_CONSUMER_SECRET": "rig-secret",
    "MPESA_PASSKEY": "rig-passkey",
    "MPESA_SHORTCODE": "174379",
}
PHONES_TAKE = {
    "SIMULATOR_ANSWER_SECONDS": "0.4",
    "SIMULATOR_CALLBACK_SECONDS": "0.1",
    "SIMULATOR_QUERY_READY_SECONDS": "0.2",
    "SIMULATOR_LATE_SECONDS": "6",
}


@dataclass
class Cluster:
    """`shop` is where customers and Daraja come in; the other proxies lie behind the workers."""

    network: Network
    directory: Path
    shop: Proxy
    daraja: Proxy
    simulator_url: str
    workers: list[RunningServer]
    database: Proxy | None = None
    redis: Proxy | None = None
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.shop.port}"

    def simulate(self, path: str, **body: Any) -> Any:
        """Ask or tell the simulator; a GET without a body."""
        url = f"{self.simulator_url}/api/{path}"
        answer = requests.post(url, json=body, timeout=10) if body else requests.get(url, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def signal(self, worker: int, number: int) -> None:
        process = self.workers[worker].process
        assert process is not None
        process.send_signal(number)


@contextmanager
def running_cluster(
    directory: Path, *, workers: int, services: bool, seed: int, without: str = ""
) -> Iterator[Cluster]:
    """Yield a Papo of so many workers: on PostgreSQL and Redis with `services`, else on SQLite and memory.

    `without`: the guard that its workers lack, one of toothless.py.
    """
    with ExitStack() as stack:
        network = stack.enter_context(running_network(seed))
        simulator = stack.enter_context(running_simulator(directory))
        cluster = _wire(network, directory, simulator, workers)
        given = stack.enter_context(running_services()) if services else {}
        settings = _settings(cluster, given)
        for number, port in enumerate(cluster.shop.upstreams):
            (directory / str(number)).mkdir()
            # With services as in production: uvicorn, and what is done once is done before.
            command = "worker" if services else "serve"
            server = RunningServer(directory / str(number), command=command, **settings, PORT=str(port))
            if services and number == 0:
                server.prepare()
            if without:
                server.program = [sys.executable, "-m", "tests.faults.rig.toothless", without]
            stack.callback(_end, server)
            cluster.workers.append(server.start())
        yield cluster


def _wire(network: Network, directory: Path, simulator: str, workers: int) -> Cluster:
    shop = network.proxy(*(free_port() for _worker in range(workers)))
    daraja = network.proxy(urlsplit(simulator).port or 0)
    return Cluster(network, directory, shop, daraja, simulator, [])


def _settings(cluster: Cluster, services: dict[str, str]) -> dict[str, str]:
    """Return what all workers share; database and Redis are reached through proxies of their own."""
    cluster.urls = services
    if services:
        cluster.database, cluster.redis = (_proxied(cluster, services, name) for name in ("DATABASE_URL", "REDIS_URL"))
    return {
        "ENV_FILE": str(cluster.directory / ".env"),
        "DATABASE_URL": _through(services["DATABASE_URL"], cluster.database)
        if cluster.database
        else f"sqlite:///{cluster.directory / 'shop.sqlite3'}",
        **({"REDIS_URL": _through(services["REDIS_URL"], cluster.redis)} if cluster.redis else {}),
        "CALLBACK_SPOOL_DIR": str(cluster.directory / "spool"),
        "PUBLIC_BASE_URL": cluster.base_url,
        "DARAJA_BASE_URL": f"http://127.0.0.1:{cluster.daraja.port}",
        "DARAJA_TIMEOUT_SECONDS": "2",
        "MPESA_QUERY_AFTER_SECONDS": str(QUERY_AFTER),
        "MPESA_EXPIRE_AFTER_SECONDS": str(EXPIRE_AFTER),
        "RATE_LIMITS": "off",
        **CREDENTIALS,
    }


def _proxied(cluster: Cluster, services: dict[str, str], name: str) -> Proxy:
    return cluster.network.proxy(urlsplit(services[name]).port or 0)


def _through(url: str, proxy: Proxy) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=re.sub(r":\d+$", f":{proxy.port}", parts.netloc)))


def _end(server: RunningServer) -> None:
    if server.process is not None:
        server.process.send_signal(signal.SIGCONT)  # a worker that was frozen could not end
        server.stop()


@contextmanager
def running_simulator(directory: Path) -> Iterator[str]:
    """Yield the address of a simulator in a process of its own; its record is `directory`/ledger.sqlite3."""
    given = {"SIMULATOR_RECORD": str(directory / "ledger.sqlite3"), "ENV_FILE": str(directory / "simulator.env")}
    environment = {**os.environ, **CREDENTIALS, **PHONES_TAKE, **given, "DATABASE_URL": "sqlite://:memory:"}
    command = [sys.executable, "manage.py", "simulator", "--port", "0"]
    with (
        open(directory / "simulator.log", "wb") as log,
        subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout
            found = re.search(rb"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found, (directory / "simulator.log").read_text()
            yield found[0].decode()
        finally:
            process.terminate()
