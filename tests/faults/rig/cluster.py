"""Everything of one Papo as processes, with a proxy on every way between them."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from tests.faults.rig.chromium import Chromium, running_chromium
from tests.faults.rig.machines import Machines, running_machines
from tests.faults.rig.proxy import Network, Proxy, running_network
from tests.production.stack import nginx_in_front
from tests.server import READY_WITHIN, REPOSITORY, RunningServer
from tests.services import free_port

QUERY_AFTER, EXPIRE_AFTER = 2, 30  # seconds
CREDENTIALS = {
    "MPESA_CONSUMER_KEY": "rig-key",
    "MPESA_CONSUMER_SECRET": "rig-secret",
    "MPESA_PASSKEY": "rig-passkey",
    "MPESA_SHORTCODE": "174379",
    "MPESA_INITIATOR_NAME": "rig",
    "MPESA_INITIATOR_PASSWORD": "rig-operator",
}
PHONES_TAKE = {
    "SIMULATOR_ANSWER_SECONDS": "0.4",
    "SIMULATOR_CALLBACK_SECONDS": "0.1",
    "SIMULATOR_QUERY_READY_SECONDS": "0.2",
    "SIMULATOR_LATE_SECONDS": "6",
}


@dataclass
class Cluster:
    """`shop` is where customers and Daraja come in; the other proxies lie behind the workers.

    `machines`: what the workers stand on. `repairs`: what is put right only after the verdict. `found`: violations that
    the fault itself has seen. `drawn`: what a nemesis did. `dice`: the run's own.
    """

    network: Network
    directory: Path
    shop: Proxy
    daraja: Proxy
    simulator_url: str
    workers: list[RunningServer]
    machines: Machines
    database: Proxy | None = None
    redis: Proxy | None = None
    chromium: Chromium | None = None  # customers then watch in it
    repairs: ExitStack = field(default_factory=ExitStack)
    found: list[str] = field(default_factory=list)
    drawn: list[str] = field(default_factory=list)
    dice: random.Random = field(default_factory=random.Random)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.shop.port}"

    @property
    def urls(self) -> dict[str, str]:
        """DATABASE_URL and REDIS_URL past the proxies, for those that break something; empty on SQLite."""
        return self.machines.urls

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

    def repair(self) -> None:
        """Put right what was to stay broken until the verdict."""
        repairs, self.repairs = self.repairs, ExitStack()
        repairs.close()


def wait_until_alive(worker: RunningServer) -> None:
    """Return when the worker answers at all, ready or not."""
    give_up = time.monotonic() + READY_WITHIN
    while time.monotonic() < give_up:
        with suppress(requests.RequestException):
            if requests.get(f"{worker.base_url}/healthz", timeout=5).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(worker.output)


@contextmanager
def running_cluster(
    directory: Path,
    *,
    workers: int,
    services: bool,
    seed: int,
    without: str = "",
    nginx: bool = False,
    chromium: bool = False,
) -> Iterator[Cluster]:
    """Yield a Papo of so many workers: on PostgreSQL and Redis with `services`, else on SQLite and memory.

    `without`: the guard that its workers lack, one of toothless.py. `nginx`: two workers behind the one of deploy/.
    `chromium`: customers watch in a real browser.
    """
    with ExitStack() as stack:
        network = stack.enter_context(running_network(seed))
        simulator = stack.enter_context(running_simulator(directory))
        machines = stack.enter_context(running_machines(services=services))
        ports = [free_port() for _worker in range(workers)]
        cluster = _wire(network, directory, simulator, machines, [free_port()] if nginx else ports)
        stack.callback(cluster.repair)
        settings = _settings(cluster)
        for number, port in enumerate(ports):
            server = _server(directory / str(number), services, without, {**settings, "PORT": str(port)})
            if services and number == 0:
                server.prepare()
            stack.callback(_end, server)
            cluster.workers.append(server.start())
        if nginx:
            front = nginx_in_front(directory, cluster.shop.upstreams[0], ports)
            stack.callback(front.end)  # at once: gracefully, it would wait for connections that a fault has left dead
            front.start()
        if chromium:
            cluster.chromium = stack.enter_context(running_chromium(network))
        yield cluster


def _server(directory: Path, services: bool, without: str, settings: dict[str, str]) -> RunningServer:
    """Return a worker. With services it is as in production: uvicorn, and what is done once is done before."""
    directory.mkdir()
    server = RunningServer(directory, command="worker" if services else "serve", **settings)
    if without:
        server.program = [sys.executable, "-m", "tests.faults.rig.toothless", without]
    return server


def _wire(network: Network, directory: Path, simulator: str, machines: Machines, entrances: list[int]) -> Cluster:
    daraja = network.proxy(urlsplit(simulator).port or 0)
    cluster = Cluster(network, directory, network.proxy(*entrances), daraja, simulator, [], machines)
    if machines.urls:
        cluster.database, cluster.redis = (_proxied(cluster, name) for name in ("DATABASE_URL", "REDIS_URL"))
    return cluster


def _settings(cluster: Cluster) -> dict[str, str]:
    """Return what all workers share; database and Redis are reached through proxies of their own."""
    urls = cluster.urls
    return {
        "ENV_FILE": str(cluster.directory / ".env"),
        "DATABASE_URL": _through(urls["DATABASE_URL"], cluster.database)
        if cluster.database
        else f"sqlite:///{cluster.machines.sqlite}",
        **({"REDIS_URL": _through(urls["REDIS_URL"], cluster.redis)} if cluster.redis else {}),
        "CALLBACK_SPOOL_DIR": str(cluster.machines.spool / "spool"),
        "PUBLIC_BASE_URL": cluster.base_url,
        "DARAJA_BASE_URL": f"http://127.0.0.1:{cluster.daraja.port}",
        "DARAJA_TIMEOUT_SECONDS": "2",
        "MPESA_QUERY_AFTER_SECONDS": str(QUERY_AFTER),
        "MPESA_EXPIRE_AFTER_SECONDS": str(EXPIRE_AFTER),
        "MPESA_RESULT_WITHIN_SECONDS": "8",
        "TRUSTED_PROXIES": "127.0.0.1",
        "RATE_LIMITS": "off",
        **CREDENTIALS,
    }


def _proxied(cluster: Cluster, name: str) -> Proxy:
    return cluster.network.proxy(urlsplit(cluster.urls[name]).port or 0)


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
