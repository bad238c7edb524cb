from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from payments.history import open_discrepancy, record
from payments.models import Callback, Discrepancy, PromptGate, Source, Status, Transaction, UnwantedPhone
from payments.tests.conftest import callback_body
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db

LIST = "/admin/payments/transaction/"


@pytest.fixture
def staff(client: Any, admin_user: User) -> Any:
    client.force_login(admin_user)
    return client


@pytest.fixture
def agent(client: Any) -> Any:
    user = User.objects.create_user("agent", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


def test_every_list_opens(staff: Any, post_callback: Any) -> None:
    post_callback(make_transaction(), Amount=1)
    for model in ("transaction", "transactionevent", "callback", "discrepancy", "promptgate", "unwantedphone"):
        assert staff.get(f"/admin/payments/{model}/").status_code == 200, model


def test_the_admin_names_things_in_swahili(staff: Any, post_callback: Any) -> None:
    post_callback(make_transaction(), Amount=1)
    page = staff.get("/admin/", headers={"Accept-Language": "sw"}).text
    for models in staff.get("/admin/").context["app_list"]:
        if models["app_label"] in {"payments", "shop"}:
            assert [model["name"] for model in models["models"] if f">{model['name']}<" in page] == []
    listed = staff.get("/admin/payments/discrepancy/", headers={"Accept-Language": "sw"}).text
    assert re.search(r"\d{1,2} [A-Z][a-z]{2} 20\d\d, \d\d:\d\d<", listed)  # not Nov. 26, 2026, 2:05 p.m.


@pytest.mark.parametrize(
    "term",
    ["UKN7R2X0QD", "0712 000 777", "+254712000777", "ws_CO_find_me", "{order.number}", "{order.pk}", "{payment.pk}"],
)
def test_a_payment_is_found_by_whatever_names_it(staff: Any, term: str) -> None:
    make_transaction()
    payment = make_transaction(
        phone_number="254712000777", mpesa_receipt_number="UKN7R2X0QD", checkout_request_id="ws_CO_find_me"
    )
    found = staff.get(LIST, {"q": term.format(payment=payment, order=payment.order)}).context["cl"].queryset
    assert list(found) == [payment]


@pytest.mark.parametrize("model", ["transactionevent", "callback", "discrepancy"])
def test_evidence_is_found_by_whatever_names_its_payment(staff: Any, post_callback: Any, model: str) -> None:
    post_callback(make_transaction(), Amount=1)
    payment = make_transaction(phone_number="254712000777", checkout_request_id="ws_CO_find_me")
    post_callback(payment, Amount=1)
    order = payment.order
    for term in (order.number, order.pk, payment.pk, "0712 000 777", "ws_CO_find_me"):
        found = staff.get(f"/admin/payments/{model}/", {"q": str(term)}).context["cl"].queryset
        assert {row.transaction_id for row in found} == {payment.pk}, term


def test_odd_search_terms_find_nothing(staff: Any) -> None:
    make_transaction()
    for term in ("z" * 36, "-" * 36, "'; --", "07"):
        assert staff.get(LIST, {"q": term}).status_code == 200, term


def test_the_timeline_shows_what_happened_without_the_whole_number(staff: Any, post_callback: Any) -> None:
    payment = make_transaction(phone_number="254712000777")
    post_callback(payment, PhoneNumber=254712000777)
    page = staff.get(f"{LIST}{payment.pk}/change/").text
    assert "callback" in page
    assert "0712 ••• 777" in page
    assert "254712000777" not in page


def test_nothing_about_a_payment_can_be_edited(staff: Any) -> None:
    payment = make_transaction()
    staff.post(f"{LIST}{payment.pk}/change/", {"status": "COMPLETED", "amount": 1})
    staff.post(f"{LIST}{payment.pk}/delete/", {"post": "yes"})
    payment.refresh_from_db()
    assert (payment.status, payment.amount) == ("PENDING", 1500)
    assert staff.get(f"{LIST}add/").status_code == 403


def _leave_unpaid(client: Any, payment: Transaction, why: str) -> Any:
    form = {"action": "leave_unpaid_after_review", "_selected_action": str(payment.pk), "decided": "yes", "why": why}
    response = client.post(LIST, form)
    payment.refresh_from_db()
    return response


def test_a_supervisor_leaves_payments_unpaid_with_a_reason(staff: Any, post_callback: Any, admin_user: User) -> None:
    payment = make_transaction()
    post_callback(payment, Amount=1)
    assert "Why?" in _leave_unpaid(staff, payment, "").text
    assert payment.status == Status.PENDING
    _leave_unpaid(staff, payment, "No such money")
    found = Discrepancy.objects.get()
    assert (payment.status, payment.under_review) == (Status.FAILED, False)
    assert (found.resolved_by, found.resolution) == (admin_user, "No such money")


def test_nobody_completes_several_at_once(staff: Any, post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment, Amount=1)
    assert "complete_after_review" not in staff.get(LIST).text
    form = {"action": "complete_after_review", "_selected_action": str(payment.pk), "decided": "yes", "why": "All"}
    staff.post(LIST, form)
    payment.refresh_from_db()
    assert payment.status == Status.PENDING


def test_an_agent_decides_nothing(agent: Any, post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment, Amount=1)
    _leave_unpaid(agent, payment, "I would like to")
    assert (payment.status, Discrepancy.objects.get().resolved_at) == ("PENDING", None)


def test_a_decision_needs_a_review(staff: Any) -> None:
    payment = make_transaction()
    _leave_unpaid(staff, payment, "Because")
    assert payment.status == Status.PENDING


def test_a_discrepancy_is_resolved_with_a_reason(staff: Any, post_callback: Any) -> None:
    payment = make_transaction()
    post_callback(payment)
    post_callback(payment, code=1032)
    found = Discrepancy.objects.get()
    form = {"action": "resolve_with_reason", "_selected_action": str(found.pk), "decided": "yes", "why": "Known"}
    staff.post("/admin/payments/discrepancy/", form)
    found.refresh_from_db()
    assert (found.resolution, payment.events.last().source) == ("Known", "staff")


def test_evidence_and_notes_tell_nobody_a_whole_number(agent: Any, post_callback: Any) -> None:
    payment = make_transaction(checkout_request_id="ws_CO_26112026100000712345678")
    post_callback(payment, CheckoutRequestID="ws_CO_26112026100001798765432")
    record(payment, source=Source.STAFF, note="She called from 0798 765 432, or 254798765432")
    found, line = Discrepancy.objects.get(), payment.events.last()
    for path in ("discrepancy/", f"discrepancy/{found.pk}/change/", "transactionevent/"):
        page = agent.get(f"/admin/payments/{path}").text
        assert "798765432" not in page, path
    page = agent.get(f"/admin/payments/transactionevent/{line.pk}/change/").text
    assert "254798765432" not in page
    assert "ws_CO_[redacted]" in agent.get(f"/admin/payments/discrepancy/{found.pk}/change/").text


def test_the_lists_hold_what_is_about_this_environment(agent: Any) -> None:
    here, elsewhere = make_transaction(), make_transaction(environment="sandbox")
    for payment in (here, elsewhere):
        record(payment, source=Source.PUSH)
        open_discrepancy(payment, Discrepancy.Kind.LATE)
    for model in ("discrepancy", "transactionevent"):
        found = agent.get(f"/admin/payments/{model}/").context["cl"].queryset
        assert [row.transaction_id for row in found] == [here.pk], model


def test_a_stored_body_is_shown_redacted(staff: Any) -> None:
    payment = make_transaction(checkout_request_id="ws_CO_24112026030935919712345678")
    row = Callback.objects.create(
        dedup_key="1", environment="simulator", trusted=True, body=callback_body(payment), digest="1",
        received_at=payment.created_at, state="processed",
    )  # fmt: skip
    page = staff.get(f"/admin/payments/callback/{row.pk}/change/").text
    assert "stkCallback" in page
    assert "ws_CO_[redacted]" in page


def test_a_phone_that_wants_no_prompts_is_entered_as_people_write_it(staff: Any) -> None:
    staff.post("/admin/payments/unwantedphone/add/", {"phone_number": "0712 345 678", "why": "asked us to"})
    assert UnwantedPhone.objects.get().phone_number == "254712345678"
    assert staff.post("/admin/payments/unwantedphone/add/", {"phone_number": "07", "why": ""}).status_code == 200


def test_the_admin_says_that_the_money_is_simulated(staff: Any, client: Any) -> None:
    assert "Simulator" in staff.get("/admin/").text
    client.logout()
    assert "Simulator" in client.get("/admin/login/").text


@pytest.mark.parametrize("model", ["darajatoken", "querybudget"])
def test_secrets_and_counters_are_not_in_the_admin(staff: Any, model: str) -> None:
    assert staff.get(f"/admin/payments/{model}/").status_code == 404


def test_no_page_needs_inline_script_or_style(staff: Any, post_callback: Any) -> None:
    """The policy of every page forbids both, so what a page had of them would be missing."""
    payment = make_transaction()
    post_callback(payment, Amount=1)
    for path in (LIST, f"{LIST}{payment.pk}/change/", "/admin/payments/discrepancy/"):
        page = staff.get(path)
        assert "'unsafe-inline'" not in page["Content-Security-Policy"]
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\s(src|type)=)", page.text), path


def test_lists_mask_the_phone(staff: Any) -> None:
    make_transaction(phone_number="254712000777")
    page = staff.get(LIST).text
    assert "0712 ••• 777" in page
    assert "12000777" not in page


def test_the_switch_wants_a_reason_and_is_there_before_the_first_prompt(staff: Any) -> None:
    assert staff.get("/admin/payments/promptgate/").status_code == 200
    url = f"/admin/payments/promptgate/{PromptGate.objects.get().pk}/change/"
    assert "Say why" in staff.post(url, {"paused": "on", "why": " "}).text
    staff.post(url, {"paused": "on", "why": "M-PESA is down"})
    assert PromptGate.objects.get().paused
    staff.post(url, {"why": ""})
    assert not PromptGate.objects.get().paused


def test_a_phone_on_the_list_is_found_as_typed(staff: Any) -> None:
    UnwantedPhone.objects.create(phone_number="254712345678", why="asked us to")
    UnwantedPhone.objects.create(phone_number="254712345679")
    for term in ("0712 345 678", "asked"):
        found = staff.get("/admin/payments/unwantedphone/", {"q": term})
        assert [row.phone_number for row in found.context["cl"].queryset] == ["254712345678"]
        assert "254712345678" not in found.text
