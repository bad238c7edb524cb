"""The shop's staff, who work in a process of the shop's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.faults.rig.cluster import Cluster
from tests.server import REPOSITORY

PATIENCE = {"DARAJA_TIMEOUT_SECONDS": "20"}  # seconds; a busy machine is none of the faults


def have_staff(cluster: Cluster, task: str, ids: list[str]) -> set[str]:
    """Have staff do one of the tasks of staff.py, and return the ids that they answer with."""
    environment = {**os.environ, **cluster.workers[0].settings, **PATIENCE}
    command = [sys.executable, "-m", "tests.faults.many.staff", task]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, input=json.dumps(ids), stdout=subprocess.PIPE, check=True, text=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))
