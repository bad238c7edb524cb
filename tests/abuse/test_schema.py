"""Schemathesis reads /api/schema/ and asks every route in ways that the document allows, and in some it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.client import Shop

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
