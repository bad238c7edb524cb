"""A release is rolled out worker by worker: what it does to the database must leave the code before it working.

docs/operations.md has the rule: expand, deploy, contract. A migration that contracts says since when nothing has used
what it takes away: `contracts = "nothing reads it since 0.3"` in its class. Then it may do anything.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import migrations as made
from django.db import models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models.fields import NOT_PROVIDED

# Up to these nothing ran anywhere that they could have hurt.
FIRST_RELEASE = {"payments": "0017_no_unused_action", "realtime": "0002_alarms", "shop": "0004_fulfilment_and_counter"}
HARMLESS = (
    made.CreateModel,
    made.AddIndex,
    made.RemoveIndex,
    made.RenameIndex,
    made.RemoveConstraint,
    made.AlterModelOptions,
    made.AlterModelManagers,
    made.RunPython,
)


def harm(operation: Operation, app: str, before: ProjectState) -> str:
    """Return what an operation does to code that does not know of it, empty when that goes on as before."""
    if isinstance(operation, HARMLESS):
        return ""
    if isinstance(operation, made.AddField):
        return "" if _fills_itself(operation.field) else f"{operation.name}: old code inserts rows without it"
    if isinstance(operation, made.AlterField):
        old = before.models[app, operation.model_name_lower].fields[operation.name]
        return _tightened(old, operation.field, operation.name)
    return f"{type(operation).__name__}: old code may count on what was there, or break the new rule"


def _fills_itself(field: Any) -> bool:
    return field.many_to_many or field.null or field.db_default is not NOT_PROVIDED


def _tightened(old: Any, new: Any, name: str) -> str:
    if type(old) is not type(new):
        return f"{name}: another type"
    if old.null and not new.null:
        return f"{name}: old code writes NULL"
    if (new.unique and not old.unique) or (new.max_length or 0) < (old.max_length or 0):
        return f"{name}: old code writes what is now refused"
    if _fills_itself(old) and not _fills_itself(new):
        return f"{name}: old code inserts rows without it"
    return ""


def _new_migrations() -> list[tuple[str, str]]:
    on_disk = MigrationLoader(None).disk_migrations
    return sorted(key for key in on_disk if key[0] in FIRST_RELEASE and key[1] > FIRST_RELEASE[key[0]])


@pytest.mark.parametrize(("app", "name"), _new_migrations())
def test_the_code_before_it_goes_on_working(app: str, name: str) -> None:
    loader = MigrationLoader(None)
    migration = loader.disk_migrations[app, name]
    if getattr(migration, "contracts", ""):
        return
    state = loader.project_state(list(migration.dependencies))
    for operation in migration.operations:
        assert harm(operation, app, state) == "", (
            f"{app}.{name}: add it nullable or with db_default, or see operations.md"
        )
        operation.state_forwards(app, state)


def _thing() -> ProjectState:
    state = ProjectState()
    fields = [("id", models.BigAutoField(primary_key=True)), ("code", models.CharField(max_length=10, null=True))]
    made.CreateModel("Thing", fields).state_forwards("shop", state)
    return state


@pytest.mark.parametrize(
    "operation",
    [
        made.AddField("thing", "paid", models.BooleanField(default=False)),
        made.AddField("thing", "note", models.CharField(max_length=9, blank=True)),
        made.RemoveField("thing", "code"),
        made.RenameField("thing", "code", "sku"),
        made.DeleteModel("Thing"),
        made.RenameModel("Thing", "Item"),
        made.AlterField("thing", "code", models.CharField(max_length=10)),
        made.AlterField("thing", "code", models.CharField(max_length=9, null=True)),
        made.AlterField("thing", "code", models.CharField(max_length=10, null=True, unique=True)),
        made.AlterField("thing", "code", models.TextField(null=True)),
        made.AddConstraint("thing", models.CheckConstraint(condition=models.Q(code="x"), name="x")),
        made.RunSQL("DROP TABLE shop_thing"),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_old_code_would_stumble_over_is_seen(operation: Operation) -> None:
    assert harm(operation, "shop", _thing())


@pytest.mark.parametrize(
    "operation",
    [
        made.AddField("thing", "paid", models.BooleanField(default=False, db_default=False)),
        made.AddField("thing", "paid_at", models.DateTimeField(null=True)),
        made.AlterField("thing", "code", models.CharField(max_length=20, null=True, help_text="longer")),
        made.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))]),
        made.AddIndex("thing", models.Index(fields=["code"], name="by_code")),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_old_code_never_notices_is_free(operation: Operation) -> None:
    assert harm(operation, "shop", _thing()) == ""
