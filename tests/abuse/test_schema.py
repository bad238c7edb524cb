"""Schemathesis reads /api/schema/ and asks every route in ways that the document allows, and in some it does not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from payments.schema import SCHEMA
from tests.client import Shop

JSON = ("api/orders", "api/products", "payments/status", "payments/stk-push")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.parametrize("examples", [5, pytest.param(200, marks=pytest.mark.long)])
def test_every_route_does_what_the_document_says(shop: Shop, examples: int) -> None:
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{shop.base_url}/api/schema/", f"--checks={CHECKS}",
        f"--max-examples={examples}", "--phases=examples,coverage,fuzzing", "--mode=all", "--seed=254",
        "--generation-database=none", "--suppress-health-check=all", "--no-color",
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_document_names_every_json_route_that_is_not_darajas() -> None:
    """Daraja's own and those of health carry what others define; all else that answers in JSON is described."""
    documented = {path.strip("/").replace("{", "<").replace("}", ">") for path in SCHEMA["paths"]}
    routes = {re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", str(route.pattern)).strip("^$?/") for route in _routes()}
    assert routes == documented


def _routes() -> Iterator[URLPattern]:
    for part in get_resolver().url_patterns:
        for route in part.url_patterns if isinstance(part, URLResolver) else [part]:
            if isinstance(route, URLPattern) and str(route.pattern).strip("^").startswith(JSON):
                yield route
