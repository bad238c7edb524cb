"""The handset page with plain forms, as a browser without JavaScript uses it."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from simulator.tests.conftest import PHONE, eventually

PAGE = f"/simulator/phone/{PHONE}/"


@pytest.fixture
def browser():
    return Client(enforce_csrf_checks=True)


def _page(browser, path=PAGE):
    return browser.get(path).content.decode()


def _press(browser, follow=False, path=PAGE, to="answer/", **fields):
    page = _page(browser, path)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    prompt = re.search(r'name="prompt" value="(\d+)"', page)
    fields = {"prompt": prompt[1] if prompt else "", "csrfmiddlewaretoken": token, **fields}
    return browser.post(f"{path}{to}", fields, follow=follow)


def test_the_prompt_reads_as_on_a_phone(daraja, browser, settings):
    settings.SHOP_NAME = "Duka"
    daraja.accepted()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", _page(browser)))
    assert "Do you want to pay Ksh 1,500.00 to DUKA Account no. 7QK2M9TX? Enter M-PESA PIN:" in text


def test_every_page_says_that_it_is_a_simulator(browser):
    for path in ("/simulator/phone/", PAGE):
        text = re.sub(r"<[^>]+>", "", _page(browser, path))
        assert "This is not a real phone" in text
        assert "Never type your real M-PESA PIN" in text


def test_a_till_prompt_has_no_account(daraja, browser, settings):
    settings.MPESA_TILL_NUMBER = "5123456"
    daraja.accepted(TransactionType="CustomerBuyGoodsOnline", PartyB="5123456")
    assert "Account no." not in _page(browser)


def test_four_digits_pay_and_the_sms_shows_the_receipt(daraja, browser, control):
    daraja.accepted()
    answer = _press(browser, pin="1234", action="send")
    assert (answer.status_code, answer["Location"]) == (303, PAGE)
    receipt = control.get("ledger/")["payments"][0]["receipt"]
    assert f"{receipt} Confirmed. Ksh1,500.00 sent to DUKA PAPO for account 7QK2M9TX" in _page(browser)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pin": "0000", "action": "send"}, "2001"),
        ({"action": "cancel"}, "1032"),
        ({"action": "wrong_pin"}, "2001"),
        ({"action": "low_balance"}, "1"),
    ],
)
def test_every_other_answer_ends_the_prompt_with_its_code(daraja, browser, control, fields, code):
    daraja.accepted()
    _press(browser, **fields)
    assert control.prompt()["result_code"] == code


@pytest.mark.parametrize("pin", ["", "123", "12a4", "١٢٣٤", "<b>x"])
def test_what_is_no_pin_is_said_beside_the_field_and_ends_nothing(daraja, browser, control, pin):
    daraja.accepted()
    answer = _press(browser, pin=pin, action="send")
    assert answer.status_code == 400
    assert "Type four digits" in answer.content.decode()
    assert control.prompt()["outcome"] is None


def test_the_keys_of_the_pad_type_without_javascript(daraja, browser):
    daraja.accepted()
    for pin, key, typed in (("", "1", "1"), ("1", "2", "12"), ("12", "back", "1"), ("1234", "5", "1234")):
        page = _press(browser, pin=pin, key=key).content.decode()
        assert f'maxlength="4" value="{typed}"' in page


def test_enter_presses_send(daraja, browser):
    """A browser presses the first button of the form that the field belongs to."""
    daraja.accepted()
    form = _page(browser).split('id="prompt"')[1].split("</form>")[0]
    own = [button for button in re.findall(r"<button[^>]*>", form) if "form=" not in button]
    assert 'value="send"' in own[0]


def test_an_ignored_prompt_leaves_the_screen_and_runs_out(daraja, browser, control, shop, settings):
    settings.SIMULATOR_PROMPT_SECONDS = 0.5
    daraja.accepted()
    _press(browser, action="ignore")
    assert 'id="prompt"' not in _page(browser)
    assert shop.wait_for(1)[0]["ResultCode"] == 1037


def test_a_phone_that_is_switched_off_is_given_up_and_takes_no_prompt(daraja, browser, control, shop):
    daraja.accepted()
    _press(browser, action="off")
    assert "This phone is off." in _page(browser)
    assert shop.wait_for(1)[0]["ResultCode"] == 1037
    daraja.accepted()
    assert control.prompt()["is_shown"] is False
    assert shop.wait_for(2)[1]["ResultCode"] == 1037
    _press(browser, to="change/", power="on")
    assert "This phone is off." not in _page(browser)


def test_the_newest_prompt_is_on_top_and_the_other_is_counted(daraja, browser, control):
    daraja.accepted(AccountReference="OLD1")
    daraja.accepted(AccountReference="NEW2")
    page = _page(browser)
    assert "Account no. NEW2?" in page
    assert "1 more request behind this one." in page
    assert "Account no. OLD1?" in _press(browser, follow=True, action="cancel").content.decode()


def test_a_second_send_does_nothing(daraja, browser, control):
    daraja.accepted()
    fields = {"prompt": "1", "pin": "1234", "action": "send"}
    _press(browser, **fields)
    assert _press(browser, path=PAGE, **{**fields, "action": "cancel"}).status_code == 303
    assert control.prompt()["outcome"] == "paid"


@pytest.mark.parametrize("prompt", ["", "0", "999", "x", "1; DROP TABLE prompts"])
def test_a_prompt_of_nobody_or_of_another_phone_is_not_answered(daraja, browser, control, prompt):
    daraja.accepted("254722000002")
    _press(browser, prompt=prompt, pin="1234", action="send")
    _press(browser, prompt="1", pin="1234", action="send")
    assert control.get("ledger/")["count"] == 0


def test_answers_need_the_csrf_token(daraja, browser, control):
    daraja.accepted()
    assert browser.post(f"{PAGE}answer/", {"prompt": "1", "pin": "1234"}).status_code == 403
    assert control.get("ledger/")["count"] == 0


def test_the_menus_choose_what_the_next_payment_meets(daraja, browser, control, shop):
    menus = {"outcome": "paid", "delivery": "twice", "push": "gateway", "query": "classic", "balance": "2000"}
    _press(browser, to="change/", **menus)
    assert daraja.push().status_code == 504
    assert len(shop.wait_for(2)) == 2
    assert control.get(f"phones/{PHONE}/")["balance"] == 500
    _press(browser, to="change/", forget="1")
    assert control.get(f"phones/{PHONE}/")["outcome"] == "ask"


def test_saving_an_old_page_does_not_give_a_payment_back(daraja, browser, control):
    daraja.accepted()
    control.answer(pin="1234")
    _press(browser, to="change/", delivery="late", had="300000", balance="300000")
    phone = control.get(f"phones/{PHONE}/")
    assert (phone["balance"], phone["delivery"]) == (298_500, "late")


def test_nonsense_in_the_menus_changes_nothing(browser, control):
    before = control.get(f"phones/{PHONE}/")
    answer = _press(browser, to="change/", outcome="rich", delivery="", balance="-5", push="x")
    assert answer.status_code == 303
    assert control.get(f"phones/{PHONE}/") == before


def test_what_happened_is_told_with_the_shops_answer(daraja, browser, shop, control):
    shop.status = 503
    daraja.accepted()
    control.answer(pin="1234")
    eventually(lambda: "the shop answered 503" in _page(browser))


def test_the_live_part_answers_304_until_something_changes(daraja, browser):
    first = browser.get(f"{PAGE}live/")
    same = browser.get(f"{PAGE}live/", headers={"If-None-Match": first["ETag"]})
    daraja.accepted()
    changed = browser.get(f"{PAGE}live/", headers={"If-None-Match": first["ETag"]})
    assert (first.status_code, same.status_code, changed.status_code) == (200, 304, 200)
    assert "<html" not in changed.content.decode()


@pytest.mark.parametrize("typed", ["0722 000 001", "+254722000001", "722000001", "00254722000001"])
def test_a_number_in_any_form_leads_to_its_phone(browser, typed):
    assert browser.get("/simulator/phone/", {"phone": typed})["Location"] == PAGE


def test_what_is_no_number_is_said_and_kept(browser):
    answer = browser.get("/simulator/phone/", {"phone": "<script>"})
    assert answer.status_code == 400
    assert "Write the number like 0712 345 678." in answer.content.decode()
    assert "<script>" not in answer.content.decode()


@pytest.mark.parametrize("number", ["12", "254812345678", "x" * 500, "٠٧١٢٣٤٥٦٧٨"])
def test_a_phone_that_cannot_be_is_not_found(browser, number):
    assert browser.get(f"/simulator/phone/{number}/").status_code == 404


def test_the_list_shows_who_waits_and_the_table_of_numbers(daraja, browser):
    daraja.accepted()
    page = _page(browser, "/simulator/phone/")
    assert "0722 000 001" in page
    assert "Waiting for the PIN" in page
    assert "pays, but the callback is lost" in page


def test_pages_load_only_their_own_style_and_script(browser):
    page = _page(browser)
    assert not re.search(r"<style|<script(?! defer src)| on\w+=| style=", page)
    for kind in ("css", "js"):
        answer = browser.get(f"/simulator/assets/simulator.{kind}")
        assert answer.status_code == 200
        assert browser.get(answer.request["PATH_INFO"], headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert browser.get("/simulator/assets/app.css").status_code == 404
