"""Put a shop of your own together: `python example/take_papo.py DIRECTORY` copies the bakery and what it takes of Papo.

In your project it is the same list, without the bakery. What is not in it belongs to Papo's own shop.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent
PAPO = EXAMPLE.parent
APPS = ("payments", "realtime", "simulator")
MODULES = (
    *("asgi.py", "commands.py", "direct.py", "environment.py", "handlers.py", "jsonhttp.py", "logs.py", "manage.py"),
    *("middleware.py", "pages.py", "passwords.py", "prepared.py", "redis_layer.py", "reporting.py"),
    *("sqlite_turns.py", "strict_json.py", ".env.example", "requirements.txt"),
)
UNCHANGED_OF_SHOP = ("context_processors.py", "idempotency.py", "limits.py", "outcomes.py", "request_models.py")
# Papo's demo and its one-command server fill and serve Papo's own shop; tests stay where they are run.
LEFT = shutil.ignore_patterns("__pycache__", "tests", "demo", "demo_load.py", "serve.py", "prepare.py", "shop")


def take(target: Path) -> None:
    """Copy Papo's part and the example into `target`, which must not exist yet."""
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("__pycache__", Path(__file__).name))
    for name in (*APPS, "templates", "static", "locale"):
        shutil.copytree(PAPO / name, target / name, ignore=LEFT)
    for name in MODULES:
        shutil.copy(PAPO / name, target / name)
    for name in UNCHANGED_OF_SHOP:
        shutil.copy(PAPO / "shop" / name, target / "shop" / name)
    shutil.copy(PAPO / "settings.py", target / "papo_settings.py")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python example/take_papo.py DIRECTORY")
    take(Path(sys.argv[1]))
