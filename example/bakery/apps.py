from __future__ import annotations

from django.apps import AppConfig


class BakeryConfig(AppConfig):
    name = "bakery"
