"""What holds the house together and no single part can check."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

import settings
from environment import example_values

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLE = REPOSITORY / ".env.example"
SHOWN = re.compile(r"# ([A-Z][A-Z0-9_]+)=(.*)")
LONGEST_FUNCTION = 40  # lines
OF_COMPOSE = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}  # of PostgreSQL's own image
OF_NGINX = {"PAPO_LISTEN", "PAPO_TLS", "PAPO_WORKER_1", "PAPO_WORKER_2"}  # of deploy/nginx/papo.conf.template


def _shown() -> dict[str, str]:
    return {line[1]: line[2] for line in map(SHOWN.fullmatch, EXAMPLE.read_text().splitlines()) if line}


def _sources() -> Iterator[Path]:
    """Yield our own modules, without tests, migrations and what was installed."""
    for path in REPOSITORY.rglob("*.py"):
        inside = set(path.relative_to(REPOSITORY).parts)
        if not inside & {".venv", "var", "tests", "migrations", "node_modules"}:
            yield path


def test_example_lists_exactly_the_variables_the_settings_read() -> None:
    assert set(_shown()) == settings.env.names_read


def test_every_variable_of_the_example_has_one_comment_above_it() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if SHOWN.fullmatch(line):
            comment = lines[number - 1]
            assert comment.startswith("# "), line
            assert not SHOWN.fullmatch(comment), line


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    """Uncommented, it changes nothing; except for the secrets, which are nobody's."""
    kept = {name: value for name, value in _shown().items() if name not in {"SECRET_KEY", "CALLBACK_SECRET"}}
    (tmp_path / "example").write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
    program = "import settings; print([(n, getattr(settings, n, '')) for n in sorted(settings.env.names_read)])"
    shown = [_run_with(program, ENV_FILE=str(tmp_path / name), **SECRETS) for name in ("example", "nothing")]
    assert shown[0] == shown[1]


SECRETS = {"SECRET_KEY": "x" * 40, "CALLBACK_SECRET": "y" * 40}


def _run_with(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


@pytest.mark.parametrize("name", ["SECRET_KEY", "CALLBACK_SECRET"])
def test_the_secrets_of_the_example_are_refused(name: str) -> None:
    assert len(_shown()[name]) >= 32
    assert _shown()[name] in example_values(EXAMPLE)


def test_functions_stay_short() -> None:
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= LONGEST_FUNCTION, f"{path.relative_to(REPOSITORY)}: {node.name} has {lines} lines"


def test_no_test_steps_aside_when_a_tool_is_missing() -> None:
    stepping_aside = re.compile(r"pytest\.(skip|importorskip|xfail)\b|mark\.(skip|skipif|xfail)\b")
    for path in REPOSITORY.glob("*/tests/**/*.py"):
        assert not stepping_aside.search(path.read_text()), path
    for path in (REPOSITORY / "tests").rglob("*.py"):
        if path != Path(__file__):
            assert not stepping_aside.search(path.read_text()), path


def test_make_has_the_commands_of_the_contract() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "test-long", "install", "bench"} <= targets


def _documents() -> str:
    return "\n".join(path.read_text() for path in [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])


def test_the_documents_name_only_commands_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", _documents())) <= targets
    assert set(re.findall(r"manage\.py ([a-z0-9_]+)", _documents())) <= set(get_commands())


def test_the_documents_name_only_files_that_exist() -> None:
    for path in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", (REPOSITORY / "README.md").read_text()):
        assert (REPOSITORY / path).exists(), path


YAML = ["docker-compose.yml", *map(str, Path("deploy").rglob("*.yml"))]


def _compose() -> dict[str, object]:
    return dict(yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"])


def test_every_service_of_compose_is_watched_and_waited_for() -> None:
    services = _compose()
    production = {"migrate", "web-1", "web-2", "reconciler", "nginx", "postgres", "redis"}
    assert set(services) == {"web"} | production
    assert {name for name, service in services.items() if service.get("profiles") == ["prod"]} == production
    assert all("healthcheck" in service for service in services.values())
    for worker in ("web-1", "web-2", "reconciler"):
        assert {name: wait["condition"] for name, wait in services[worker]["depends_on"].items()} == {
            "migrate": "service_completed_successfully",
            "postgres": "service_healthy",
            "redis": "service_healthy",
        }


def test_production_runs_what_prod_smoke_runs() -> None:
    """tests/production/ takes its commands from here, so they are the same; these are the ones that it needs."""
    commands = {name: " ".join(service.get("command", [])) for name, service in _compose().items()}
    assert commands["migrate"] == "python manage.py prepare"
    assert commands["web-1"] == commands["web-2"] == "python manage.py worker"
    assert commands["reconciler"] == "python manage.py reconcile_payments --loop"
    assert "--maxmemory-policy noeviction" in commands["redis"]
    units = "".join(path.read_text() for path in (REPOSITORY / "deploy").glob("*.service"))
    for command in ("manage.py worker", "manage.py reconcile_payments --loop", "manage.py serve"):
        assert command in units


def test_compose_and_its_proxy_agree() -> None:
    template = (REPOSITORY / "deploy/nginx/papo.conf.template").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", template)) == set(_compose()["nginx"]["environment"])
    for volume in _compose()["nginx"]["volumes"]:
        source = volume.split(":")[0]
        assert source == "./deploy/tls" or (REPOSITORY / source).is_file()


def test_the_yaml_is_well_formed_for_its_linter() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "yamllint", "-d", "{extends: relaxed, rules: {line-length: {max: 130}}}", *YAML],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout


def test_compose_sets_only_variables_that_exist() -> None:
    for service in _compose().values():
        assert set(service.get("environment", {})) <= settings.env.names_read | OF_COMPOSE | OF_NGINX


def test_the_container_runs_commands_that_exist_and_not_as_root() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    assert 'CMD ["python", "manage.py", "serve"]' in lines
    assert "serve" in get_commands()
    assert "USER papo" in lines
    assert any("--require-hashes" in line for line in lines)
    for script in re.findall(r"tools/\w+\.py", "\n".join(lines) + str(_compose())):
        assert (REPOSITORY / script).is_file()
