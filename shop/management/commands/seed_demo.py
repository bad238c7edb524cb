from __future__ import annotations

from typing import Any

from commands import DatabaseCommand
from shop.demo import seed_catalogue, seed_staff


class Command(DatabaseCommand):
    help = "Fill an empty catalogue with demo goods and, in the simulator, create the staff login."

    def handle(self, *args: Any, **options: Any) -> None:
        added = seed_catalogue()
        seed_staff()
        if added:
            self.stdout.write(f"{added} products are on the shelf.")
