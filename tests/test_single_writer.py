"""A status changes through one door: no module but the one named here writes Order.status or Transaction.status.

The test reads the source. It cannot know the type of `x` in `x.status = …`, so outside the two doors nothing at all
may write a field or attribute of that name, except the few places listed with what it means there.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
DOORS = {
    "shop/orders.py": "Order",
    "payments/transitions.py": "Transaction",
    "example/shop/orders.py": "Order",  # in the place of the first
}
WRITING_CALLS = {
    "abulk_create", "abulk_update", "acreate", "aget_or_create", "asave", "aupdate", "aupdate_or_create",
    "bulk_create", "bulk_update", "create", "get_or_create", "save", "update", "update_or_create",
}  # fmt: skip
MODELS = {"Order", "Transaction"}
SQL_WRITE = re.compile(r"\b(?:update|insert|replace)\b.*\bstatus\b", re.IGNORECASE | re.DOTALL)
# Where a class has a status of its own that is none of a model's: (file, target).
OTHER_STATUSES = {
    ("jsonhttp.py", "self.status"),  # the HTTP status of a problem
    ("payments/checkout.py", "self.status"),  # the HTTP status of a refusal
}
STRANGERS = ("simulator/", "bench/floor/", "bench/naive/")  # they import no model of ours


def sources() -> list[str]:
    """Return the files that could write a model of ours; those of STRANGERS have records of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    ours = (name for name in listed.stdout.split() if not {"tests", "migrations"} & set(Path(name).parts))
    ours = (name for name in ours if not name.startswith(STRANGERS))
    return [name for name in ours if (REPOSITORY / name).is_file() and Path(name).name != "conftest.py"]


def writes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of everything that may write a status."""
    prepares = any(_imports_prepared_updates(node) for node in ast.walk(tree))
    for node in ast.walk(tree):
        if (
            (prepares and _puts_status_into_a_dict(node))
            or _is_assigned(node)
            or (isinstance(node, ast.Call) and _writes_status(node))
        ):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _unpacks_into_a_write(node):
            yield from ((part.lineno, ast.unparse(part)) for part in ast.walk(node) if _puts_status_into_a_dict(part))


def _imports_prepared_updates(node: ast.AST) -> bool:
    """What prepared.Update writes is worded in a dictionary somewhere near it."""
    if isinstance(node, ast.Import):
        return any(name.name == "prepared" for name in node.names)
    return (
        isinstance(node, ast.ImportFrom) and node.module == "prepared" and any(n.name == "Update" for n in node.names)
    )


def _is_assigned(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "status" and isinstance(node.ctx, ast.Store | ast.Del)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _mentions_status(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Constant) and part.value == "status" for part in ast.walk(node))


def _writes_status(call: ast.Call) -> bool:
    name = _called(call)
    if name in {"setattr", "__setattr__"}:
        return any(_mentions_status(argument) for argument in call.args)
    if name in {"execute", "executemany", "raw", "RunSQL"}:
        return any(SQL_WRITE.search(ast.unparse(argument)) for argument in call.args)
    if name not in WRITING_CALLS | MODELS:
        return False
    named = any(word.arg == "status" for word in call.keywords)
    given = [*call.args, *(word.value for word in call.keywords if word.arg in {"fields", "update_fields", "defaults"})]
    return named or any(_mentions_status(value) for value in given) or _unpacks_status(call)


def _unpacks_status(call: ast.Call) -> bool:
    """`update(**{"status": …})`, and every model called with an unpacked dictionary that says so."""
    return any(word.arg is None and _mentions_status(word.value) for word in call.keywords)


def _unpacks_into_a_write(function: ast.AST) -> bool:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and _called(node) in WRITING_CALLS]
    return any(word.arg is None for call in calls for word in call.keywords)


def _puts_status_into_a_dict(node: ast.AST) -> bool:
    if isinstance(node, ast.Dict):
        return any(key is not None and _is_status(key) for key in node.keys)
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Store) and _is_status(node.slice)
    return isinstance(node, ast.Call) and _called(node) == "dict" and any(w.arg == "status" for w in node.keywords)


def _is_status(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == "status"


def test_no_other_module_writes_a_status() -> None:
    found = [
        f"{name}:{line}: {text}"
        for name in sources()
        if name not in DOORS
        for line, text in writes(ast.parse((REPOSITORY / name).read_text()))
        if (name, text) not in OTHER_STATUSES
    ]
    assert found == []


@pytest.mark.parametrize(("door", "other"), [("shop/orders.py", "Transaction"), ("payments/transitions.py", "Order")])
def test_a_door_writes_only_its_own_status(door: str, other: str) -> None:
    """A door may write its own model only: nothing in it hands the other one's rows to a writing call."""
    tree = ast.parse((REPOSITORY / door).read_text())
    assert list(writes(tree)), f"{door} is where the status is written"
    texts = [text for _line, text in writes(tree)]
    assert [text for text in texts if text.startswith((f"{other}.", f"{other}(", f"{other.lower()}."))] == []


@pytest.mark.parametrize(
    "source",
    [
        "order.status = 'PAID'",
        "order.status: str = 'PAID'",
        "order.status += 'x'",
        "from prepared import Update\nUpdate(orders, lambda: {'status': 'PAID'})",
        "import prepared\nprepared.Update(orders, lambda: {'status': 'PAID'})",
        "del order.status",
        "a, order.status = 1, 2",
        "for order.status in statuses: pass",
        "with x as order.status: pass",
        "Order.objects.update(status='PAID')",
        "Order.objects.filter(pk=1).update(amount=1, status='PAID')",
        "orders.update(**{'status': 'PAID'})",
        "order.save(update_fields=['status'])",
        "order.save(update_fields={'amount', 'status'})",
        "order.save(False, False, None, ['status'])",
        "setattr(order, 'status', 'PAID')",
        "cursor.execute('UPDATE shop_order SET status = %s', ['PAID'])",
        "object.__setattr__(order, 'status', 'PAID')",
        "Order.objects.bulk_update(orders, ['status'])",
        "Order.objects.bulk_update(orders, fields=['status'])",
        "Order.objects.create(status='PAID')",
        "Order(status='PAID')",
        "Order(**{'status': 'PAID'})",
        "Order.objects.get_or_create(pk=1, defaults={'status': 'PAID'})",
        "Order.objects.update_or_create(pk=1, defaults={'status': 'PAID'})",
        "async def f():\n    await Order.objects.aupdate(status='PAID')",
        "def f():\n    changes = {'status': 'PAID'}\n    Order.objects.update(**changes)",
        "def f():\n    changes = {}\n    changes['status'] = 'PAID'\n    Order.objects.update(**changes)",
        "def f():\n    changes = dict(status='PAID')\n    Order.objects.create(**changes)",
    ],
)
def test_the_net_catches_every_way_to_write(source: str) -> None:
    assert list(writes(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "x = order.status",
        "order.status == 'PAID'",
        "Order.objects.filter(status='OPEN').update(amount=1)",
        "render(request, 'x.html', status=404)",
        "status = 1",
        "cursor.execute('SELECT status FROM shop_order')",
        "order.save(update_fields=['customer_name'])",
        "def f():\n    return {'status': 'PAID'}",
    ],
)
def test_the_net_lets_readers_pass(source: str) -> None:
    assert not list(writes(ast.parse(source)))


def test_strangers_know_no_model_of_ours() -> None:
    for path in (path for folder in STRANGERS for path in (REPOSITORY / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {"shop", "payments"} & {name.partition(".")[0] for name in names}, f"{path}:{node.lineno}"


def test_the_net_is_cast_over_the_whole_house() -> None:
    names = set(sources())
    assert {
        *DOORS,
        "shop/views.py",
        "payments/views/callbacks.py",
        "payments/inbox.py",
        "manage.py",
        "settings.py",
    } <= names
