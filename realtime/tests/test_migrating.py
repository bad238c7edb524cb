"""Migrating while customers pay: whoever is locked out tries again, and any other fault is told at once."""

from __future__ import annotations

import psycopg
import pytest
from django.db import OperationalError

from realtime.management import migrating


def _fault(cause):
    error = OperationalError("no")
    error.__cause__ = cause
    return error


@pytest.fixture
def attempts(monkeypatch):
    """Script what each attempt meets; None succeeds."""
    faults: list = []
    made: list = []

    def call_command(*args, **options):
        made.append(args)
        if (fault := faults.pop(0)) is not None:
            raise fault

    monkeypatch.setattr(migrating, "call_command", call_command)
    monkeypatch.setattr(migrating, "PAUSE", 0)
    return faults, made


@pytest.mark.django_db
def test_who_is_locked_out_tries_again(attempts):
    faults, made = attempts
    faults += [_fault(psycopg.errors.DeadlockDetected()), _fault(psycopg.errors.LockNotAvailable()), None]
    migrating.migrate()
    assert len(made) == 3


@pytest.mark.django_db
@pytest.mark.parametrize("cause", [psycopg.errors.DiskFull(), None])
def test_another_fault_is_told_at_once(attempts, cause):
    faults, made = attempts
    faults += [_fault(cause), None]
    with pytest.raises(OperationalError):
        migrating.migrate()
    assert len(made) == 1


@pytest.mark.django_db
def test_a_table_that_cannot_be_had_is_told_in_the_end(attempts):
    faults, made = attempts
    faults += [_fault(psycopg.errors.LockNotAvailable()) for _ in range(migrating.TRIES)]
    with pytest.raises(OperationalError):
        migrating.migrate()
    assert len(made) == migrating.TRIES
