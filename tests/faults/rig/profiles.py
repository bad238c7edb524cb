"""The set-ups on which Papo is broken."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.rig.cluster import Cluster, running_cluster
from tests.faults.rig.faults.fault import Fault


@dataclass(frozen=True)
class Profile:
    """What Papo runs on; `workers`: its processes."""

    name: str
    workers: int
    services: bool
    nginx: bool = False
    chromium: bool = False

    def can(self, fault: Fault) -> bool:
        """Return whether the set-up has what the fault needs; the one of four processes is for those that need four.

        Real browsers are for what happens to pages.
        """
        if (self.workers > 2) != ("four" in fault.needs):
            return False
        if self.chromium and not fault.is_of_pages and "chromium" not in fault.needs:
            return False
        has = {"services" if self.services else "sqlite", "two" if self.workers > 1 else "one", "four"}
        has |= {"chromium"} if self.chromium else set()
        has |= set() if self.nginx else {"unlimited"}  # nginx limits an address, and our customers have but one
        return fault.needs - {"disks", "clock"} <= has

    def running(self, directory: Path) -> AbstractContextManager[Cluster]:
        """Start it; its histories and logs are kept in `directory`."""
        return running_cluster(
            directory,
            workers=self.workers,
            services=self.services,
            nginx=self.nginx,
            chromium=self.chromium,
            seed=random.randrange(10**6),  # of the proxies' own delays; that of a run decides everything else
        )


ONE_ON_SQLITE = Profile("SQLite, one process", 1, services=False)
TWO_ON_SQLITE = Profile("SQLite, two processes", 2, services=False)
TWO_ON_SERVICES = Profile("PostgreSQL and Redis, two processes", 2, services=True)
PROFILES = (
    ONE_ON_SQLITE,
    TWO_ON_SQLITE,
    Profile("SQLite, four processes", 4, services=False),
    TWO_ON_SERVICES,
    Profile("PostgreSQL and Redis, two processes behind nginx", 2, services=True, nginx=True),
    Profile("the same behind nginx, with pages in Chromium", 2, services=True, nginx=True, chromium=True),
)
