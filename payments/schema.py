"""The OpenAPI 3.1 document of the JSON routes, written by hand in openapi.json beside this module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("openapi.json").read_text())
