"""What many waiting customers need, from measured costs: `python -m bench.scaling`, `--write` into docs/scaling.md.

Nothing is measured here. The costs are those of bench/costs.json, which `python -m bench.growth` writes; on paper they
become cores and gigabytes, and in bench/simulation.py customers who queue.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import document
from bench.growth import COSTS, AtSockets, AtStored
from bench.simulation import COMMITS, HEARTBEAT_SECONDS, TAILER_SECONDS, Outcome, Shop, Simulation, Steps

Table = Callable[["Costs"], str]

PROGRAM = "python -m bench.scaling"
CUSTOMERS = (10_000, 100_000, 1_000_000)
WAIT = 60  # seconds that a customer waits, on average: an assumption, the length of a prompt
POLL_SECONDS = 3  # of the polling that is compared
WAITING_BYTES = 634  # per customer and minute; row 20, docs/accessibility.md
FULLEST = 0.6  # of its time that a part may work: beyond it queues grow faster than the crowd
SIMULATED = 20_000  # customers who come, at least

# As the code and deploy/ have them; tests/test_scaling.py compares.
SOCKETS_PER_PROCESS = 5_000
CONNECTIONS_PER_PROCESS = 24
PUSHES_PER_SECOND, MOST_PUSHES_PER_SECOND = 20, 1000
NGINX_CALLBACKS_PER_SECOND = 200  # of one address
POSTGRESQL_CONNECTIONS = 100  # PostgreSQL's own default
POSTGRESQL_CORES = 4  # of the machine that the limits are told for
DEPLOYED = Shop(workers=2, cores=POSTGRESQL_CORES)
GROWING = (1_000, 5_000, 10_000, 15_000, 20_000, 30_000)  # customers of it


@dataclass(frozen=True)
class Costs:
    """What `python -m bench.growth` has measured, the smallest size first."""

    measured: str
    sockets: Sequence[AtSockets]
    stored: Sequence[AtStored]
    naive_poll_ms: float

    @property
    def full(self) -> AtSockets:
        """What things cost on a worker that has about as many sockets as it takes."""
        return self.sockets[-1]

    @property
    def waiting_ms(self) -> float:
        """Milliseconds of a worker for a customer's minute of waiting, beyond what it does for nobody."""
        least, most = self.sockets[0], self.sockets[-1]
        return max(0.0, (most.idle_ms - least.idle_ms) / (most.sockets - least.sockets))

    def steps(self) -> Steps:
        """Return the seconds that the simulation takes for each thing."""
        least = self.sockets[0]
        for_nobody = max(0.0, least.idle_ms - self.waiting_ms * least.sockets)
        return Steps(
            opening=self.full.opening_ms / 1000,
            callback=self.full.callback_ms / 1000,
            heartbeat=self.waiting_ms * HEARTBEAT_SECONDS / 60 / 1000,
            tailer=for_nobody * TAILER_SECONDS / 60 / 1000,
            commit=self.full.postgresql_ms / COMMITS / 1000,
            publish=self.full.redis_ms / 1000,
        )


def read(path: Path) -> Costs:
    costs = json.loads(path.read_text())
    return Costs(
        costs["measured"],
        [AtSockets(**each) for each in costs["sockets"]],
        [AtStored(**each) for each in costs["stored"]],
        costs["naive_poll_ms"],
    )


# What things cost, and how that grows


def costs_table(costs: Costs) -> str:
    """Return the costs at each number of open sockets."""
    lines = [_line("CPU, ms", [f"{each.sockets:,} sockets" for each in costs.sockets], "grows")]
    for name, field in (
        ("callback: worker", "callback_ms"),
        ("callback: PostgreSQL", "postgresql_ms"),
        ("callback: Redis", "redis_ms"),
        ("opening a socket, state sent", "opening_ms"),
        ("poll that brings nothing new", "poll_ms"),
    ):
        lines.append(_costs_line(name, [getattr(each, field) for each in costs.sockets]))
    lines.append(
        _costs_line(
            "minute of waiting, with a share of the idle process",
            [each.idle_ms / each.sockets for each in costs.sockets],
        )
    )
    lines.append(_costs_line("memory of a socket, KB", [each.kilobytes for each in costs.sockets]))
    return _markdown(lines)


def stored_table(costs: Costs) -> str:
    """Return what a callback costs at each number of payments that the database has already."""
    head = _line("CPU, ms", [f"{each.stored:,} payments stored" for each in costs.stored], "grows")
    worker = _costs_line("callback: worker", [each.callback_ms for each in costs.stored])
    postgresql = _costs_line("callback: PostgreSQL", [each.postgresql_ms for each in costs.stored])
    return _markdown([head, worker, postgresql])


def _costs_line(name: str, values: Sequence[float | None]) -> list[str]:
    known = [value for value in values if value is not None]
    return _line(name, ["–" if value is None else f"{value:.2f}" for value in values], _growth(known))


def _growth(values: Sequence[float]) -> str:
    return f"{values[-1] / values[0]:.2f}×" if len(values) > 1 and values[0] else "–"


def _line(name: str, cells: Sequence[str], last: str) -> list[str]:
    return [name, *cells, last]


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *body = lines
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


# What a crowd needs


@dataclass(frozen=True)
class Need:
    """One line of the table: what it says for each number of customers."""

    name: str
    values: Sequence[float]
    unit: str
    how: str


def needs(costs: Costs) -> list[Need]:
    """Return what each number of waiting customers needs, each part working all of its time."""
    visits = [customers / WAIT for customers in CUSTOMERS]
    processes = [math.ceil(customers / SOCKETS_PER_PROCESS) for customers in CUSTOMERS]
    full, megabits = costs.full, WAITING_BYTES * 8 / 60 / 1e6
    kilobytes = full.kilobytes or 0.0

    def cores(name: str, each: Sequence[float], milliseconds: float, what: str) -> Need:
        return Need(name, [count * milliseconds / 1000 for count in each], "", f"{milliseconds:.2f} ms for {what}")

    return [
        Need("visits, callbacks", visits, "/s", f"each waits {WAIT} s"),
        cores("worker cores for callbacks", visits, full.callback_ms, "a callback"),
        cores("worker cores for opening sockets", visits, full.opening_ms, "an opening"),
        cores("worker cores for waiting", [each / 60 for each in CUSTOMERS], costs.waiting_ms, "a minute of waiting"),
        cores("PostgreSQL's cores", visits, full.postgresql_ms, "a callback"),
        cores("Redis' cores", visits, full.redis_ms, "a callback"),
        Need("memory for sockets", [each * kilobytes / 1e6 for each in CUSTOMERS], "GB",
             f"{kilobytes:.1f} KB each"),
        Need("workers for sockets alone", processes, "", f"{SOCKETS_PER_PROCESS:,} each at most"),
        Need("database connections at most", [each * CONNECTIONS_PER_PROCESS for each in processes], "",
             f"a pool of {CONNECTIONS_PER_PROCESS} each"),
        Need("bytes out while waiting", [each * megabits for each in CUSTOMERS], "Mbit/s",
             f"{WAITING_BYTES} bytes a minute"),
        cores(f"for comparison: cores under {POLL_SECONDS} s polling", [each / POLL_SECONDS for each in CUSTOMERS],
              costs.naive_poll_ms, "a poll of the naive shop"),
    ]  # fmt: skip


def needs_table(costs: Costs) -> str:
    head = _line("waiting customers", [f"{each:,}" for each in CUSTOMERS], "from")
    lines = [_line(need.name, [_cell(value, need.unit) for value in need.values], need.how) for need in needs(costs)]
    return _markdown([head, *lines])


def _cell(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
    return f"{number} {unit}".replace(" /s", "/s").strip()


# Customers who queue


def shop_for(customers: int, steps: Steps) -> Shop:
    """Return the least shop of which no part works more than FULLEST of its time."""
    rate = customers / WAIT
    worker = rate * (steps.opening + steps.callback) + customers / HEARTBEAT_SECONDS * steps.heartbeat
    each = FULLEST - steps.tailer / TAILER_SECONDS
    workers = max(math.ceil(worker / each), math.ceil(customers / SOCKETS_PER_PROCESS))
    cores = max(1, math.ceil(rate * COMMITS * steps.commit / FULLEST))
    return Shop(workers, cores, max(1, math.ceil(rate * steps.publish / FULLEST)))


def simulated(customers: int, shop: Shop, steps: Steps) -> Outcome:
    """Return what so many customers see, of whom SIMULATED come, in two seconds at least."""
    return Simulation(shop, steps, customers=customers, wait=WAIT).run(max(2.0, SIMULATED * WAIT / customers))


def simulation_table(costs: Costs, crowds: Sequence[int] = CUSTOMERS) -> str:
    head = ["waiting customers", "workers", "PostgreSQL's cores", "Redis hosts", "callback → frame, p50", "p99", "busy"]
    return _markdown([head, *(_simulated_line(customers, costs.steps()) for customers in crowds)])


def deployed_table(costs: Costs) -> str:
    """Return what becomes of the shop of deploy/ when nothing is added to it."""
    head = ["waiting customers", "workers", "PostgreSQL's cores", "Redis hosts", "callback → frame, p50", "p99", "busy"]
    return _markdown([head, *(_simulated_line(customers, costs.steps(), DEPLOYED) for customers in GROWING)])


def _simulated_line(customers: int, steps: Steps, shop: Shop | None = None) -> list[str]:
    shop = shop or shop_for(customers, steps)
    outcome = simulated(customers, shop, steps)
    times = [f"{1000 * outcome.percentile(share):.1f} ms" for share in (0.5, 0.99)]
    busy = ", ".join(f"{part} {min(1, share):.0%}" for part, share in outcome.busy.items())
    if not outcome.is_stable:
        times = ["grows without end", "grows without end"]
    return [f"{customers:,}", str(shop.workers), str(shop.cores), str(shop.redis), *times, busy]


# What breaks first


@dataclass(frozen=True)
class Limit:
    """What stops growing: with how many waiting customers, and what to do then."""

    customers: int
    name: str
    then: str


def limits(costs: Costs) -> list[Limit]:
    """Return the limits of the settings and of the costs, the first to break first."""
    return sorted([*_limits_of_settings(), *_limits_of_costs(costs.steps())], key=lambda limit: limit.customers)


def _limits_of_settings() -> list[Limit]:
    pooled = POSTGRESQL_CONNECTIONS // CONNECTIONS_PER_PROCESS
    return [
        Limit(PUSHES_PER_SECOND * WAIT, f"`PUSHES_PER_SECOND`, {PUSHES_PER_SECOND} by default, of all workers together",
              "raise it to what Safaricom grants you"),
        Limit(SOCKETS_PER_PROCESS, f"one process takes {SOCKETS_PER_PROCESS:,} sockets", "another worker"),
        Limit(NGINX_CALLBACKS_PER_SECOND * WAIT,
              f"`limit_req` in deploy/nginx lets {NGINX_CALLBACKS_PER_SECOND} callbacks a second of one address pass, "
              "if Safaricom has only one", "raise `rate`"),
        Limit(pooled * SOCKETS_PER_PROCESS,
              f"PostgreSQL's default of {POSTGRESQL_CONNECTIONS} connections holds the full pools of {pooled} workers",
              "`max_connections`, then a pooler in front of it"),
        Limit(MOST_PUSHES_PER_SECOND * WAIT,
              f"`PUSHES_PER_SECOND` can be {MOST_PUSHES_PER_SECOND:,} at most, and its count queues on one row",
              "measure that queue, then raise the bound; or several Papos, each with a database of its own"),
    ]  # fmt: skip


def _limits_of_costs(steps: Steps) -> list[Limit]:
    """Return with how many customers one part of each kind works all of its time."""
    each = (steps.opening + steps.callback) / WAIT + steps.heartbeat / HEARTBEAT_SECONDS
    worker = (1 - steps.tailer / TAILER_SECONDS) / each
    postgresql, redis = POSTGRESQL_CORES * WAIT / (COMMITS * steps.commit), WAIT / steps.publish
    return [
        Limit(_rounded(worker), "one worker's core is full", "another worker, well before"),
        Limit(_rounded(postgresql), f"{POSTGRESQL_CORES} cores of PostgreSQL are full",
              "more cores; then a database of its own for a part of the customers"),
        Limit(_rounded(redis), "one Redis is full", "shards: several URLs in `REDIS_URL`"),
    ]  # fmt: skip


def _rounded(customers: float) -> int:
    """Return a figure that does not look more exact than it is."""
    digits = 1 - math.floor(math.log10(customers))
    return int(round(customers, digits))


def limits_table(costs: Costs) -> str:
    lines = [[f"{limit.customers:,}", limit.name, limit.then] for limit in limits(costs)]
    return "\n".join(
        f"| {' | '.join(line)} |" for line in (["breaks at", "what", "then"], ["---:", "---", "---"], *lines)
    )


def in_words(costs: Costs) -> str:
    """Return everything, as docs/scaling.md shows it."""
    return "\n\n".join(
        [
            f"### What each thing costs\n\n{costs.measured}.",
            costs_table(costs),
            *([stored_table(costs)] if costs.stored else []),
            f"### What a crowd needs\n\nEach waits {WAIT} s on average, and each part works all of its time.",
            needs_table(costs),
            f"### How long they wait for the words\n\nSimulated, each part working {FULLEST:.0%} of its time at most.",
            simulation_table(costs),
            "The same with the two workers that deploy/ has, when nothing is added:",
            deployed_table(costs),
            "### What breaks first",
            limits_table(costs),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--costs", type=Path, metavar="FILE", default=COSTS, help="what `python -m bench.growth` wrote")
    parser.add_argument("--write", action="store_true", help="write it into docs/scaling.md")
    options: Any = parser.parse_args(arguments)
    text = in_words(read(options.costs))
    print(text)
    if options.write:
        document.put(document.SCALING, PROGRAM, text)


if __name__ == "__main__":
    main()
