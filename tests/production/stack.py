"""The production topology of docker-compose.yml as processes on loopback: nginx, two workers, reconciler, services.

What each process runs is read from docker-compose.yml and deploy/nginx/, so what is tested is what is deployed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

import psycopg
import redis
import requests
import yaml

from tests.client import Shop
from tests.production.certificate import new_certificate
from tests.server import REPOSITORY, RunningServer
from tests.services import directory_of_services, find_program, free_port, unprivileged

STOPPED_WITHIN = 30  # seconds
READY_WITHIN = 120  # seconds
NGINX_MAIN = """daemon off; master_process on; pid {directory}/nginx.pid; error_log {directory}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log {access_log}; default_type application/octet-stream;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    include {directory}/papo.conf;
    {redirect}
}}
"""


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text()))


def command_of(service: str) -> list[str]:
    """Return what a service of docker-compose.yml runs, with this environment's Python."""
    program, *arguments = compose()["services"][service]["command"]
    return [sys.executable if program == "python" else find_program(program), *arguments]


class Process:
    """A program that can be stopped, killed and started again on the same port."""

    def __init__(self, command: list[str], log: Path, is_ready: Callable[[], object], **options: Any) -> None:
        self._command, self._log, self._is_ready, self._options = command, log, is_ready, options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, **self._options)
        give_up = time.monotonic() + READY_WITHIN
        while not self._answers():
            assert self.process.poll() is None, self._log.read_text(errors="replace")
            assert time.monotonic() < give_up, self._log.read_text(errors="replace")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.Error, redis.RedisError, requests.RequestException):
            return bool(self._is_ready())
        return False

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Let it live and do nothing, as on a disk or a machine that hangs."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        assert self.process is not None, "it does not run"
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=STOPPED_WITHIN)
            self.process = None


class Stack:
    """The running topology; `base_url` is nginx. `settings` go before those of this module."""

    def __init__(self, directory: Path, daraja_url: str, settings: dict[str, str], *, tls: bool = False) -> None:
        self.directory = directory
        self.port, self.plain_port = free_port(), free_port() if tls else 0
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.postgresql, self.database_url = own_postgresql(directory)
        self.redis, self._redis_url = own_redis(directory)
        self.settings = {
            "ENV_FILE": str(directory / ".env"),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self._redis_url,
            "PUBLIC_BASE_URL": self.base_url,
            "TRUSTED_PROXIES": "127.0.0.1",
            "DARAJA_BASE_URL": daraja_url,
            "DEMO_HISTORY": "off",
            "RATE_LIMITS": "off",
            "CALLBACK_SPOOL_DIR": str(directory / "spool"),
            "SIMULATOR_RECORD": str(directory / "simulator.sqlite3"),
            "MPESA_QUERY_AFTER_SECONDS": "3600",  # what a callback does not settle stays unsettled, and is seen
            "MPESA_EXPIRE_AFTER_SECONDS": "7200",
            **settings,
        }
        self.workers = [self._worker(name) for name in ("web-1", "web-2")]
        self.reconciler = Process(
            command_of("reconciler"), directory / "reconciler.log", lambda: True,
            cwd=REPOSITORY, env={**os.environ, **self.settings},
        )  # fmt: skip
        ports = [worker.port for worker in self.workers]
        self.nginx = nginx_in_front(directory, self.port, ports, plain_port=self.plain_port)
        self.certificate = directory / "fullchain.pem"

    def _worker(self, name: str) -> RunningServer:
        directory = self.directory / name
        directory.mkdir()
        # The last words of the service's command: "manage.py worker". PostgreSQL knows its connections by its name.
        return RunningServer(directory, command=command_of(name)[-1], PGAPPNAME=name, **self.settings)

    @property
    def direct(self) -> list[Shop]:
        """Each worker past nginx and its limits for one address, but with its word for https."""
        return [Shop(worker.base_url, **{"X-Forwarded-Proto": "https"}) for worker in self.workers]

    def start(self) -> None:
        self.postgresql.start()
        self.redis.start()
        environment = {**os.environ, **self.settings}
        subprocess.run(command_of("migrate"), cwd=REPOSITORY, env=environment, check=True)
        for worker in self.workers:
            worker.start()
        self.reconciler.start()
        self.nginx.start()

    def stop(self) -> None:
        with ExitStack() as stack:
            for process in (self.postgresql, self.redis):
                stack.callback(process.end, signal.SIGINT)
            for worker in self.workers:
                stack.callback(worker.stop)
            stack.callback(self.reconciler.end)
            stack.callback(self.nginx.end, signal.SIGQUIT)


def nginx_in_front(directory: Path, port: int, workers: list[int], *, plain_port: int = 0) -> Process:
    """Return the nginx of deploy/, not started yet: it listens on `port` and passes on to the two ports of workers.

    `plain_port`: then it speaks https on `port`, with a certificate of our own, and redirects from this one.
    """
    values = {"PAPO_LISTEN": f"127.0.0.1:{port}{' ssl' if plain_port else ''}", "PAPO_TLS": f"{directory}/tls.conf"}
    for number, worker in enumerate(workers, start=1):
        values[f"PAPO_WORKER_{number}"] = f"127.0.0.1:{worker}"
    tls, redirect, access_log = "# plain on loopback", "", "off"
    if plain_port:
        access_log = f"{directory}/access.log"
        new_certificate(directory)
        tls = _deployed("tls.conf").replace("/etc/nginx/tls", str(directory))
        redirect = _deployed("redirect.conf").replace("listen 80;", f"listen 127.0.0.1:{plain_port};")
    files = {
        "tls.conf": tls,
        "papo.conf": _filled_in(_deployed("papo.conf.template"), values),
        "nginx.conf": NGINX_MAIN.format(directory=directory, redirect=redirect, access_log=access_log),
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    command = [find_program("nginx"), "-c", f"{directory}/nginx.conf", "-p", str(directory)]
    command += ["-e", f"{directory}/nginx.log"]
    return Process(command, directory / "nginx.out", partial(_is_ready, directory, port, is_tls=bool(plain_port)))


def _is_ready(directory: Path, port: int, *, is_tls: bool) -> bool:
    url = f"{'https' if is_tls else 'http'}://127.0.0.1:{port}/readyz"
    verify = str(directory / "fullchain.pem") if is_tls else True
    return requests.get(url, timeout=5, verify=verify).status_code == 200


def _deployed(name: str) -> str:
    return (REPOSITORY / "deploy/nginx" / name).read_text()


def _filled_in(template: str, values: dict[str, str]) -> str:
    """Do what the official image does with a template: only its own variables, nginx's own stay."""
    return Template(template.replace("$", "$$").replace("$${", "${")).substitute(values)


def own_postgresql(directory: Path) -> tuple[Process, str]:
    port, data = free_port(), directory / "postgresql"
    data.mkdir()
    if user := unprivileged():
        os.chown(data, user["user"], user["group"])
    options = {"cwd": data, **unprivileged()}
    initdb = [
        find_program("initdb"),
        "-D",
        str(data),
        "-U",
        "papo",
        "-E",
        "UTF8",
        "--locale=C",
        "-A",
        "trust",
        "--no-sync",
    ]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **options)
    command = [find_program("postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    command += ["-c", f"unix_socket_directories={data}", "-c", "max_connections=200"]
    url = f"postgres://papo@127.0.0.1:{port}/postgres"

    def answers() -> bool:
        psycopg.connect(url, connect_timeout=2).close()
        return True

    return Process(command, directory / "postgresql.log", answers, **options), url


def own_redis(directory: Path) -> tuple[Process, str]:
    port = free_port()
    command = [*command_of("redis"), "--port", str(port), "--bind", "127.0.0.1"]
    client = redis.Redis(port=port)
    return Process(command, directory / "redis.log", client.ping, cwd=directory), f"redis://127.0.0.1:{port}/0"


@contextmanager
def running_stack(daraja_url: str, *, tls: bool = False, **settings: str) -> Iterator[Stack]:
    with directory_of_services() as directory:
        stack = Stack(directory, daraja_url, settings, tls=tls)
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()
