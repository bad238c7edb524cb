from __future__ import annotations

import os
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import InterfaceError, InternalError, OperationalError
from django.utils import timezone

from payments import doctor, inbox, metrics, reconciler, spool
from payments.callback_token import make_callback_token
from payments.models import Callback, Status
from payments.tests.conftest import callback_body, raising
from tests.factories import make_transaction


@pytest.fixture(autouse=True)
def directory(settings: Any, tmp_path: Path) -> Iterator[Path]:
    spool.replay(lambda _arrived: None)
    settings.CALLBACK_SPOOL_DIR = tmp_path / "spool"
    yield tmp_path / "spool"
    spool.replay(lambda _arrived: None)


@pytest.mark.django_db
def test_a_callback_is_accepted_and_applied_later_when_the_database_is_away(
    post_callback: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = make_transaction()
    monkeypatch.setattr(inbox, "_store", raising(OperationalError("the database is gone")))
    assert post_callback(payment).status_code == 200
    assert (payment.status, spool.length()) == ("PENDING", 1)
    monkeypatch.undo()
    spool.replay()
    payment.refresh_from_db()
    assert (payment.status, spool.length()) == ("COMPLETED", 0)


@pytest.mark.django_db
def test_when_the_disk_is_full_too_the_callback_is_refused(post_callback: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "_store", raising(OperationalError()))
    monkeypatch.setattr(spool, "LARGEST_SPOOL", 10)
    assert post_callback(make_transaction()).status_code == 503


@pytest.mark.django_db
def test_a_spooled_callback_is_known_as_a_copy_of_a_stored_one(post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment)
    spool.append(payment.pk, callback_body(payment), None)
    spool.replay()
    payment.refresh_from_db()
    assert (payment.version, Callback.objects.get().copies, payment.status) == (2, 2, Status.COMPLETED)


def test_files_are_private_and_hold_no_token(directory: Path) -> None:
    transaction_id = uuid.uuid4()
    spool.append(transaction_id, b"{}", "196.201.214.200")
    (path,) = directory.iterdir()
    assert (stat.S_IMODE(directory.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (0o700, 0o600)
    assert make_callback_token(transaction_id).encode() not in path.read_bytes()


def test_bodies_come_back_as_they_went(directory: Path) -> None:
    bodies = [b"", b"\n\x00\xff", os.urandom(3000)]
    for body in bodies:
        spool.append(uuid.uuid4(), body, None)
    taken: list[spool.Arrived] = []
    assert spool.replay(taken.append) == 3
    assert [arrived.body for arrived in taken] == bodies
    assert list(directory.iterdir()) == []


def test_a_torn_tail_is_skipped_and_the_rest_is_taken(directory: Path) -> None:
    for body in (b"first", b"second"):
        spool.append(uuid.uuid4(), body, None)
    (path,) = directory.iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    taken: list[spool.Arrived] = []
    assert spool.replay(taken.append) == 1
    assert taken[0].body == b"first"


def test_a_damaged_record_is_not_taken(directory: Path) -> None:
    spool.append(uuid.uuid4(), b"the amount is 1500", None)
    (path,) = directory.iterdir()
    path.write_bytes(path.read_bytes().replace(b"1500", b"9500"))
    assert spool.length() == 0


def test_everything_stays_while_the_database_is_still_away(directory: Path) -> None:
    spool.append(uuid.uuid4(), b"{}", None)
    with pytest.raises(OperationalError):
        spool.replay(raising(OperationalError()))
    assert spool.length() == 1
    assert spool.replay(lambda _arrived: None) == 1


def test_the_next_process_replays_what_a_killed_one_left(directory: Path) -> None:
    script = (
        "import os,sys,uuid,django;django.setup();from payments import spool;spool.append(uuid.uuid4(),b'{}',None);"
    )
    given = {**os.environ, "CALLBACK_SPOOL_DIR": str(directory)}
    alive = subprocess.Popen(
        [sys.executable, "-c", script + "print('written',flush=True);sys.stdin.read()"],
        env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert alive.stdout is not None
    assert alive.stdout.readline() == b"written\n"
    assert (spool.length(), spool.replay(lambda _arrived: None)) == (1, 0)
    alive.kill()
    alive.communicate()
    assert spool.replay(lambda _arrived: None) == 1


def test_a_record_that_the_disk_took_half_hides_none_that_come_after(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fsync(descriptor: int) -> None:
        path = next(directory.glob("*.spool"))
        os.truncate(path, path.stat().st_size - 5)
        raise OSError(28, "No space left on device")

    spool.append(uuid.uuid4(), b"before", None)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        spool.append(uuid.uuid4(), b"lost, and answered 503", None)
    monkeypatch.undo()
    spool.append(uuid.uuid4(), b"after", None)
    taken: list[spool.Arrived] = []
    assert spool.replay(taken.append) == 2
    assert {arrived.body for arrived in taken} == {b"before", b"after"}


def test_a_damaged_record_hides_none_that_come_after(directory: Path) -> None:
    for body in (b"first", b"second", b"third"):
        spool.append(uuid.uuid4(), body, None)
    (path,) = directory.iterdir()
    path.write_bytes(path.read_bytes().replace(b"second", b"sEcond"))
    taken: list[spool.Arrived] = []
    assert spool.replay(taken.append) == 2
    assert [arrived.body for arrived in taken] == [b"first", b"third"]
    assert spool.is_empty()


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError, InterfaceError, InternalError])
def test_a_database_that_only_reads_is_away_too(
    post_callback: Any, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    monkeypatch.setattr(inbox, "_store", raising(error("cannot execute INSERT in a read-only transaction")))
    assert (post_callback(make_transaction()).status_code, spool.length()) == (200, 1)


# Records of another release ---------------------------------------------------------------------------------------


def test_a_record_of_another_release_stays_for_it_and_ours_are_taken(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reversal, taken = uuid.uuid4(), list[spool.Arrived]()
    monkeypatch.setitem(spool.takers, "callback", taken.append)
    for transaction_id, body, route in (
        (None, b"first", "callback"),
        (reversal, b"\n{}", "of 2027"),
        (None, b"last", "callback"),
    ):
        spool.append(transaction_id, body, "196.201.214.200", route=route)
    assert (spool.replay(), [arrived.body for arrived in taken]) == (2, [b"first", b"last"])
    (path,) = directory.iterdir()
    kept = path.read_bytes()
    assert (spool.length(), spool.left(), spool.is_empty()) == (0, 1, True)
    assert (spool.replay(), len(taken), path.read_bytes() == kept) == (0, 2, True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.setitem(spool.takers, "of 2027", taken.append)  # and then it is upgraded again
    assert (spool.replay(), list(directory.iterdir())) == (1, [])
    assert (taken[-1].transaction_id, taken[-1].body, taken[-1].remote_address) == (
        reversal,
        b"\n{}",
        "196.201.214.200",
    )


@pytest.mark.parametrize("head", [b"", b"[]", b'{"transaction_id": 7}', b'{"kind": "reversal", "of": "2027"}'])
def test_a_record_in_another_releases_words_stays_too(directory: Path, head: bytes) -> None:
    payload = head + b"\nbody"
    directory.mkdir()
    path = directory / "1-of-another.spool"
    path.write_bytes(spool._record(payload))
    assert (spool.replay(), spool.length(), spool.left(), spool.is_empty()) == (0, 0, 1, True)
    assert path.read_bytes() == spool._record(payload)
    path.unlink()


def test_ids_of_a_prompt_in_another_releases_words_stay_too(directory: Path) -> None:
    spool.append(uuid.uuid4(), b'{"checkout_request_id": "ws_CO_1", "of": "2027"}', None, route="prompt")
    assert (spool.replay(), len(list(directory.iterdir())), spool.is_empty()) == (0, 1, True)
    assert (spool.length(), spool.left()) == (0, 1)


@pytest.mark.django_db
def test_a_record_of_another_release_holds_up_no_expiry_and_is_told(directory: Path) -> None:
    payment = make_transaction(expires_at=timezone.now(), checkout_request_id=None)
    spool.append(payment.pk, b"{}", None, route="of 2027")
    for _pass in range(2):
        reconciler.run_pass()
    payment.refresh_from_db()
    assert (payment.status, spool.left()) == (Status.FAILED, 1)
    assert "papo_spool_left 1.0" in metrics.metrics_text().decode()
    findings = {finding.about: finding for finding in doctor.examine()}
    assert "records that another release wrote: 1" in findings["spool"].text
    assert not findings["spool"].is_well
