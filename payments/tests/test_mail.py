"""The outbox: written with what it tells of, sent once, and never in the way of anything."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.mail import EmailMessage
from django.db import DatabaseError, connection
from django.db.transaction import atomic, set_rollback
from django.utils import timezone

from payments import mail, reconciler
from payments.metrics import metrics_text
from payments.models import Mail
from payments.tests.conftest import raising

LETTER = {"key": "receipt:1", "to": "asha@example.com", "subject": "Receipt", "body": "Thank you."}


@pytest.mark.django_db
def test_a_letter_leaves_once_however_often_it_is_told() -> None:
    assert mail.enqueue(**LETTER)
    assert not mail.enqueue(**{**LETTER, "body": "Again."})
    assert [mail.send_due(), mail.send_due()] == [1, 0]
    assert [(sent.to, sent.subject, sent.body) for sent in django_mail.outbox] == [
        (["asha@example.com"], "Receipt", "Thank you.")
    ]
    assert Mail.objects.get().sent_at


@pytest.mark.django_db
def test_a_letter_is_gone_with_the_transaction_that_wrote_it() -> None:
    with atomic():
        mail.enqueue(**LETTER)
        set_rollback(True)
    assert mail.send_due() == 0


@pytest.mark.django_db
def test_nothing_is_sent_inside_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmailMessage, "send", raising(AssertionError("sent at once")))
    mail.enqueue(**LETTER)


@pytest.mark.django_db
def test_a_letter_that_cannot_be_written_leaves_the_transaction_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with atomic():
        mail.enqueue(**LETTER)
        with monkeypatch.context() as patched:
            patched.setattr(Mail.objects, "get_or_create", raising(DatabaseError("disk full")))
            assert not mail.enqueue(**{**LETTER, "key": "receipt:2"})
        assert not mail.enqueue(**{**LETTER, "key": "receipt:3", "to": None})  # refused by the database itself
        mail.enqueue(**{**LETTER, "key": "receipt:4"})
    assert sorted(Mail.objects.values_list("key", flat=True)) == ["receipt:1", "receipt:4"]


@pytest.mark.django_db
def test_a_line_break_in_a_subject_makes_no_header() -> None:
    mail.enqueue(**{**LETTER, "subject": "Duka\r\nBcc: all@example.com"})
    assert mail.send_due() == 1
    assert django_mail.outbox[0].subject == "Duka Bcc: all@example.com"


@pytest.mark.django_db
def test_a_mail_server_that_fails_is_asked_again_at_growing_gaps_and_then_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EmailMessage, "send", raising(ConnectionRefusedError("asha@example.com")))
    mail.enqueue(**LETTER)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    gaps = []
    for _attempt in range(len(mail.GAPS) + 1):
        Mail.objects.update(send_after=now)
        assert mail.send_due() == 0
        letter = Mail.objects.get()
        gaps.append(letter.send_after and (letter.send_after - now).total_seconds())
    assert gaps == [*mail.GAPS, None]
    assert (letter.attempts, letter.error, letter.sent_at) == (len(mail.GAPS) + 1, "ConnectionRefusedError", None)


@pytest.mark.django_db
def test_one_failure_spares_the_others_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fail(message: EmailMessage, *args: Any) -> int:
        asked.append(message.subject)
        raise TimeoutError

    monkeypatch.setattr(EmailMessage, "send", fail)
    for number in range(3):
        mail.enqueue(**{**LETTER, "key": f"receipt:{number}"})
    mail.send_due()
    assert len(asked) == 1


@pytest.mark.django_db
def test_every_attempt_has_the_same_message_id(monkeypatch: pytest.MonkeyPatch) -> None:
    mail.enqueue(**LETTER)
    mail.send_due()
    Mail.objects.update(sent_at=None, send_after=timezone.now())  # the process died before it could note the first
    mail.send_due()
    first, second = (sent.extra_headers["Message-ID"] for sent in django_mail.outbox)
    assert first == second


@pytest.mark.django_db
def test_letters_of_another_environment_stay() -> None:
    mail.enqueue(**LETTER)
    Mail.objects.update(environment="sandbox")
    assert mail.send_due() == 0
    assert mail.enqueue(**LETTER)


@pytest.mark.django_db(transaction=True)
def test_of_several_workers_one_sends() -> None:
    for number in range(12):
        mail.enqueue(**{**LETTER, "key": f"receipt:{number}"})
    together = threading.Barrier(6)

    def work(_worker: int) -> int:
        try:
            together.wait(timeout=10)
            return mail.send_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=6) as workers:
        assert sum(workers.map(work, range(6))) == 12
    assert len(django_mail.outbox) == 12


@pytest.mark.django_db(transaction=True)
def test_a_mail_server_that_hangs_holds_up_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, released, passed, stop = threading.Event(), threading.Event(), threading.Event(), threading.Event()

    def hang(message: EmailMessage, *args: Any) -> int:
        hanging.set()
        released.wait(timeout=30)
        return 1

    def passes(askers: Any, room: int = 0) -> tuple[int, list[Any]]:
        if hanging.is_set():
            passed.set()
        return 0, []

    monkeypatch.setattr(EmailMessage, "send", hang)
    monkeypatch.setattr(reconciler, "_pass", passes)
    mail.enqueue(**LETTER)
    loop = threading.Thread(target=reconciler.run_forever, args=(stop,))
    loop.start()
    try:
        assert passed.wait(timeout=20)
        assert not released.is_set()
    finally:
        stop.set()
        released.set()
        loop.join(timeout=20)
        _join_mail_thread()


def _join_mail_thread() -> None:
    for thread in threading.enumerate():
        if thread.name == "mail":
            thread.join(timeout=20)


@pytest.mark.django_db
def test_a_pass_from_cron_sends_as_well() -> None:
    mail.enqueue(**LETTER)
    reconciler.run_pass()
    assert len(django_mail.outbox) == 1


@pytest.mark.django_db
def test_a_letter_that_is_being_sent_elsewhere_is_left_alone() -> None:
    mail.enqueue(**LETTER)
    Mail.objects.update(send_after=timezone.now() + timedelta(seconds=100))
    assert mail.send_due() == 0


@pytest.mark.django_db
def test_staff_see_what_left_and_what_did_not_without_address_or_text(admin_client: Any) -> None:
    mail.enqueue(**LETTER)
    mail.enqueue(**{**LETTER, "key": "receipt:2", "subject": "Another"})
    mail.send_due()
    listed = admin_client.get("/admin/payments/mail/").text
    found = admin_client.get("/admin/payments/mail/?q=Another").text
    opened = admin_client.get(f"/admin/payments/mail/{Mail.objects.first().pk}/change/").text
    assert "a•••@example.com" in listed
    assert "1 letter" in found
    for page in (listed, opened):
        assert "asha@" not in page
        assert "Thank you." not in page


@pytest.mark.django_db
def test_metrics_count_letters_by_what_became_of_them() -> None:
    for number, state in enumerate(["sent", "waiting", "given_up", "given_up"]):
        mail.enqueue(**{**LETTER, "key": f"receipt:{number}"})
        moment = timezone.now()
        left = {"sent_at": moment if state == "sent" else None, "send_after": moment if state == "waiting" else None}
        Mail.objects.filter(key=f"receipt:{number}").update(**left)
    text = metrics_text().decode()
    for state, count in {"sent": 1, "waiting": 1, "given_up": 2}.items():
        assert f'papo_letters{{state="{state}"}} {count}.0' in text
