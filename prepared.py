"""Statements that the ORM words once and that are executed again and again.

Wording one costs Django up to twenty times what SQLite or PostgreSQL need to run it, and a callback runs eight. So
the statements on its way are written in the ORM as everywhere, with `given(...)` where a value will stand; the first
use compiles them, and each later one only binds its values. A model with another field, or a further condition, is
therefore in the SQL as it would be without this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery

import direct

M = TypeVar("M")


class Given(Expression):
    """The place of a value that is known only when the statement runs; it is converted as `output_field` would."""

    def __init__(self, name: str, field: Field) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]

    def prepared(self, value: Any, database: Any) -> Any:
        return self.output_field.get_db_prep_save(value, database)


def given(model: type[Model], field: str, name: str = "") -> Any:
    """Return the place of a value for `field` of `model`, bound by its name or by `name`."""
    return Given(name or field, model._meta.get_field(field))  # type: ignore[arg-type]


class _Statement(Generic[M]):
    """`build` returns the queryset; it is called once, at the first use, when Django is set up."""

    def __init__(self, build: Callable[[], QuerySet[Any, M]]) -> None:
        self._build = build

    def _bound(self, parameters: Sequence[Any], values: dict[str, Any]) -> list[Any]:
        database = direct.database()
        return [each.prepared(values[each.name], database) if isinstance(each, Given) else each for each in parameters]


class Select(_Statement[M]):
    """A query for one row, or for all that it finds; `by_key`: a unique key names them, see direct.py."""

    def __init__(self, build: Callable[[], QuerySet[Any, M]], *, by_key: bool = False) -> None:
        super().__init__(build)
        self._by_key = by_key

    @cached_property
    def _plan(self) -> tuple[Any, str, tuple[Any, ...], Any, Any]:
        compiler = self._build().query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        converters = compiler.get_converters([column for column, *_ in compiler.select[: compiler.col_count]])
        related: Any = []
        if compiler.klass_info:
            related = get_related_populators(compiler.klass_info, compiler.select, connection.alias)  # type: ignore[call-arg]
        return compiler, sql, parameters, converters, related

    def first(self, **values: Any) -> M | None:
        """Return the row as its model, or None."""
        row = self.row(**values)
        return None if row is None else self._model(row)

    def row(self, **values: Any) -> Sequence[Any] | None:
        """Return the row as it was selected, or None."""
        return next(iter(self._rows(values)), None)

    def all(self, **values: Any) -> list[M]:
        """Return every row as its model."""
        return [self._model(row) for row in self._rows(values)]

    def _rows(self, values: dict[str, Any]) -> Iterable[Sequence[Any]]:
        compiler, sql, parameters, converters, _ = self._plan
        found = direct.rows(sql, self._bound(parameters, values), by_key=self._by_key)
        return compiler.apply_converters(found, converters) if converters else found

    def _model(self, row: Sequence[Any]) -> M:
        compiler, _, _, _, related = self._plan
        fields = compiler.klass_info["select_fields"]
        names = [compiler.select[at][0].target.attname for at in fields]
        found = compiler.klass_info["model"].from_db(connection.alias, names, row[fields[0] : fields[-1] + 1])
        for populator in related:
            populator.populate(row, found)
        for name, at in compiler.annotation_col_map.items():
            setattr(found, name, row[at])
        return found  # type: ignore[no-any-return]


class Update(_Statement[M]):
    """An UPDATE of the row that a key names; `changes` returns the new values, `returning` names what `row` tells."""

    def __init__(
        self,
        build: Callable[[], QuerySet[Any, M]],
        changes: Callable[[], dict[str, Any]],
        *,
        returning: Sequence[str] = (),
    ) -> None:
        super().__init__(build)
        self._changes, self._returning = changes, returning

    @cached_property
    def _plan(self) -> tuple[str, tuple[Any, ...]]:
        query: Any = self._build().query.chain(UpdateQuery)
        query.add_update_values(self._changes())
        query.clear_ordering(force=True)
        sql, parameters = query.get_compiler(connection=connection).as_sql()
        if self._returning:
            quote: Any = connection.ops.quote_name
            columns = (quote(query.get_meta().get_field(name).column) for name in self._returning)
            sql = f"{sql} RETURNING {', '.join(columns)}"
        return sql, parameters

    def run(self, **values: Any) -> int:
        """Return how many rows were changed."""
        sql, parameters = self._plan
        return direct.count(sql, self._bound(parameters, values))

    def row(self, **values: Any) -> Sequence[Any] | None:
        """Return what `returning` names of the one changed row, as the database gives it; None when there was none."""
        sql, parameters = self._plan
        return next(iter(direct.rows(sql, self._bound(parameters, values), by_key=True)), None)


def insert(instance: Model, *, unless_there: bool = False) -> bool:
    """Insert a new row and set its key; False when `unless_there` and a unique value was there already."""
    fields, sql = _insertion(type(instance), unless_there)
    database: Any = direct.database()
    values = [field.get_db_prep_save(field.pre_save(instance, add=True), database) for field in fields]
    inserted = direct.rows(sql, values, by_key=True)
    if not inserted:
        return False
    instance.pk, instance._state.adding, instance._state.db = inserted[0][0], False, connection.alias
    return True


@lru_cache
def _insertion(model: type[Model], unless_there: bool) -> tuple[list[Any], str]:
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    quote: Any = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in fields)
    sql = f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({', '.join(['%s'] * len(fields))})"  # noqa: S608
    if unless_there:
        sql += " ON CONFLICT DO NOTHING"
    return fields, f"{sql} RETURNING {quote(model._meta.pk.column)}"
