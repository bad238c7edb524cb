"""What is wrong with the whole shop is found, told once, and told again when it is over."""

from __future__ import annotations

from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from django.utils import timezone

from payments.c2b import rescue
from payments.history import open_discrepancy
from payments.models import Discrepancy, Mail, Reading, Reason, ReceiptClaim, Refund, Source, Status
from payments.models import Finding as Drift
from payments.review import resolve
from payments.tests.by_hand import announce, hear
from realtime import beats
from realtime.board import alarms, attention, figures, shared
from realtime.models import Alarm, Probe, ProcessBeat
from realtime.processes import FRESH
from realtime.tests.boards import make_staff
from tests.factories import make_order, make_transaction

pytestmark = pytest.mark.django_db
TO = ["owner@example.com", "till@example.com"]


@pytest.fixture(autouse=True)
def _two_are_told(settings, monkeypatch):
    shared.forget_all()
    settings.ALERT_EMAILS = TO
    monkeypatch.setattr(alarms, "probe", lambda: None)


def look() -> None:
    shared.forget_all()
    alarms.look()


def letters() -> list[str]:
    return list(Mail.objects.order_by("pk").values_list("subject", flat=True))


def pass_a_minute() -> None:
    Alarm.objects.update(seen_at=timezone.now() - alarms.CLEARS_AFTER - timedelta(seconds=1))


def refused_pushes(count: int) -> None:
    for _ in range(count):
        make_transaction(
            status=Status.FAILED, reason=Reason.NOT_SENT, failed_at=timezone.now(), prompted_at=None, settled_by="push"
        )


def test_an_alarm_is_told_once_and_again_when_it_is_over():
    finding = make_transaction()
    open_discrepancy(finding, Discrepancy.Kind.SURPLUS, amount=1500)
    look()
    look()
    assert [subject.partition(": ")[2] for subject in letters()] == ["Findings about money that need a person: 1"] * 2
    assert set(Mail.objects.values_list("to", flat=True)) == set(TO)
    resolve(finding.discrepancies.get(), by=make_staff(), why="Sent back by hand")
    look()
    assert len(letters()) == 2  # it may come back: not yet
    pass_a_minute()
    look()
    look()
    assert len(letters()) == 4
    assert "over" in letters()[-1]
    open_discrepancy(finding, Discrepancy.Kind.LATE, amount=1500)
    look()
    assert len(letters()) == 6


def test_daraja_errors_need_more_than_one_in_twenty_and_more_than_two():
    refused_pushes(2)
    assert "daraja_errors" not in alarms.findings()
    refused_pushes(1)
    shared.forget_all()
    assert alarms.findings()["daraja_errors"] == {"refused": 3, "pushes": 3}
    for _ in range(60):
        make_transaction()
    shared.forget_all()
    assert "daraja_errors" not in alarms.findings()


def test_callbacks_are_silent_when_most_is_settled_by_asking():
    settled = {"status": Status.COMPLETED, "completed_at": timezone.now()}
    for _ in range(3):
        make_transaction(settled_by=Source.QUERY, **settled)
    assert alarms.findings()["silent_callbacks"] == {"by_asking": 3, "settled": 3}
    for _ in range(3):
        make_transaction(settled_by=Source.CALLBACK, **settled)
    shared.forget_all()
    assert "silent_callbacks" not in alarms.findings()


def test_nobody_reconciling_is_an_alarm_but_not_while_a_process_starts():
    beats.beat()
    ProcessBeat.objects.update(started_at=timezone.now(), reconciled_at=None)
    assert "reconciler" not in alarms.findings()
    old = timezone.now() - timedelta(minutes=1)
    ProcessBeat.objects.update(started_at=old, reconciled_at=None)
    assert "reconciler" in alarms.findings()
    ProcessBeat.objects.update(reconciled_at=timezone.now())
    assert "reconciler" not in alarms.findings()


def test_a_process_that_got_no_chance_to_say_so_still_reconciles():
    """As on a busy machine: the last beat is older than a living process's would be, the last pass is not old."""
    beats.beat()
    silent = timezone.now() - FRESH - timedelta(seconds=5)
    ProcessBeat.objects.update(started_at=silent - timedelta(hours=1), beat_at=silent, reconciled_at=silent)
    assert ("reconciler" in alarms.findings(), _lamp().tone, _lamp().since) == (False, "ok", silent)


def test_a_shop_that_comes_back_after_an_hour_has_time_for_its_first_pass():
    beats.beat()
    ProcessBeat.objects.update(reconciled_at=timezone.now() - timedelta(hours=1))
    assert ("reconciler" in alarms.findings(), _lamp().tone) == (False, "wait")
    ProcessBeat.objects.update(started_at=timezone.now() - timedelta(minutes=1))
    assert ("reconciler" in alarms.findings(), _lamp().tone) == (True, "stop")


def _lamp() -> figures.Lamp:
    shared.forget_all()
    return next(lamp for lamp in figures.figures()["lamps"] if lamp.name == "Reconciler")


def test_what_is_open_long_after_its_time_is_an_alarm():
    make_transaction(expires_at=timezone.now() - timedelta(minutes=2))
    assert alarms.findings()["overdue"] == {"overdue": 1}


@pytest.fixture
def public_address():
    """An origin whose answer to everything is a status that the test sets."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *args) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.status = 405
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_public_address_answers_a_get_with_405_or_something_is_wrong(public_address):
    origin = f"http://127.0.0.1:{public_address.server_port}"
    assert alarms.problem_of(origin) == ""
    public_address.status = 502
    assert alarms.problem_of(origin) == "502"
    assert alarms.problem_of("http://127.0.0.1:9") == "ConnectionError"


def test_one_process_a_minute_asks_the_public_address(settings, monkeypatch):
    monkeypatch.undo()
    asked = []
    monkeypatch.setattr(alarms, "problem_of", lambda origin: asked.append(origin) or "502")
    alarms.probe()
    alarms.probe()
    assert len(asked) == 1
    assert "callback_url" in alarms.findings()
    Probe.objects.update(asked_at=timezone.now() - alarms.PROBE_EVERY - timedelta(seconds=1))
    alarms.probe()
    assert len(asked) == 2


@pytest.mark.parametrize("kind", ["daraja_errors", "silent_callbacks", "callback_url", "reconciler", "overdue"])
def test_every_alarm_has_words_and_a_next_step(kind):
    told = alarms.words(kind, {})
    assert told.title != kind
    assert told.step


@pytest.mark.parametrize("kind", Discrepancy.Kind)
def test_every_kind_of_discrepancy_says_what_to_do_and_leads_to_its_payment(kind):
    payment = make_transaction()
    open_discrepancy(payment, kind, told="820")
    (finding,) = attention.findings(attention.load())
    assert payment.order.number in finding.title
    assert finding.about
    assert finding.step
    assert str(payment.pk) in finding.url


def test_a_payment_is_stuck_after_two_minutes_and_unknown_when_daraja_never_gave_an_id():
    make_transaction(created_at=timezone.now())
    begun = timezone.now() - timedelta(seconds=130)
    stuck, unknown = make_transaction(), make_transaction(checkout_request_id=None)
    for payment, at in ((stuck, begun), (unknown, begun + timedelta(seconds=100))):
        type(payment).objects.filter(pk=payment.pk).update(created_at=at)
    raw = attention.load()
    titles = [finding.title.partition(" · ")[0] for finding in attention.findings(raw)]
    assert titles == ["Stuck", "Outcome unknown"]
    assert attention.count(raw) == 2


def test_money_that_found_no_order_and_claims_are_things_to_see_to() -> None:
    money = announce("WRONG", 1500, receipt="UKP9X00001")
    hear("UKP9X00001", 1500)
    rescue.claim(make_order(), "UKP9X00002", address=None)
    ReceiptClaim.objects.update(state="for_staff")
    raw = attention.load()
    titles = {finding.title: finding.url for finding in attention.findings(raw)}
    assert money.trans_id == "UKP9X00001"
    assert attention.count(raw) == 2
    assert titles["Paid by hand, for no order we know · 1"].endswith("state__exact=unmatched")
    assert titles["Customers say that they have paid · 1"].endswith("state__exact=for_staff")


def test_refunds_and_differences_that_wait_for_a_person_are_listed():
    for more in ({"state": "unknown"}, {"needs_second_person": True}, {"state": "failed"}):
        payment = make_transaction(status=Status.COMPLETED, completed_at=timezone.now())
        facts = {"transaction": payment, "environment": payment.environment, "method": "reversal", "amount": 5}
        Refund.objects.create(**facts, **more, requested_by=make_staff())
    reading = Reading.objects.create(environment=payment.environment, source="statement", name="November")
    drift = {"environment": payment.environment, "reading": reading, "happened_at": timezone.now()}
    Drift.objects.create(**drift, kind="amount", fingerprint="1")
    Drift.objects.create(**drift, kind="amount", fingerprint="2", resolved_at=timezone.now())
    raw = attention.load()
    assert [(finding.title, finding.url) for finding in attention.findings(raw)] == [
        ("Refunds that wait for a person · 2", "/admin/payments/refund/"),
        ("Our books and M-PESA's differ · 1", "/admin/payments/finding/"),
    ]
    assert attention.count(raw) == 3
