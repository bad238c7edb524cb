from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.signals import request_started

log = logging.getLogger("simulator")


class SimulatorConfig(AppConfig):
    name = "simulator"

    def ready(self) -> None:
        checks.register(_check_durations)
        # Only a server gets requests: a command never delivers what an earlier server left behind.
        request_started.connect(_resume, dispatch_uid="simulator")


def _resume(**kwargs: Any) -> None:
    """Continue, at the first request after a restart, with the callbacks that were due."""
    from simulator import courier

    request_started.disconnect(dispatch_uid="simulator")
    try:
        courier.wake_if_needed()
    except (OSError, sqlite3.Error):  # this request is the shop's: it must not fail for the simulator's file
        log.exception("the simulator cannot read its record")


def _check_durations(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    from simulator import configuration

    return [checks.Error(sentence, id="simulator.E001") for sentence in configuration.problems()]
