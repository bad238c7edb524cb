from __future__ import annotations

import pytest
from django.test import Client

from shop.models import Order, Product
from tests.faults.crowd import crowd


@pytest.fixture
def shopper(client, tea, lamp):
    client.post("/cart/add/", {"sku": "tea", "quantity": 2})
    client.post("/cart/add/", {"sku": "lamp"})
    return client


WHO = {"customer_name": " Wanjiku ", "customer_email": "wanjiku@example.com"}


def test_the_basket_becomes_an_order(shopper):
    response = shopper.post("/checkout/", WHO)
    order = Order.objects.get()
    assert (response.status_code, response["Location"]) == (303, f"/orders/{order.pk}/")
    assert (order.amount, order.customer_name, order.customer_email) == (3_270, "Wanjiku", "wanjiku@example.com")


def test_nobody_has_to_say_who_they_are(shopper):
    shopper.post("/checkout/")
    assert Order.objects.get().customer_name == ""


def test_the_basket_is_empty_afterwards_and_a_second_tap_leads_to_the_same_order(shopper):
    first = shopper.post("/checkout/", WHO)
    second = shopper.post("/checkout/", WHO)
    assert second["Location"] == first["Location"]
    assert Order.objects.count() == 1


def test_who_only_opens_the_address_finds_the_form(shopper):
    response = shopper.get("/checkout/")
    assert (response.status_code, response["Location"]) == (303, "/cart/")
    assert 'action="/checkout/"' in shopper.get("/cart/").content.decode()
    assert not Order.objects.exists()


def test_an_empty_basket_leads_back_to_itself(client, db):
    assert client.post("/checkout/")["Location"] == "/cart/"


@pytest.mark.parametrize(
    "who",
    [{"customer_email": "nope"}, {"customer_name": "x" * 81}, {"customer_name": "a\x00b"}],
)
def test_a_slip_is_shown_where_it_is_and_nothing_is_lost(shopper, who):
    response = shopper.post("/checkout/", {"customer_name": "Wanjiku", **who})
    page = response.content.decode()
    assert response.status_code == 400
    assert "There is a problem" in page
    assert 'aria-invalid="true"' in page
    assert "<title>Error:" in page
    assert not Order.objects.exists()


def test_too_much_for_mpesa_is_said_on_the_basket(shopper):
    Product.objects.update(price=200_000)
    page = shopper.get("/cart/").content.decode()
    assert "takes at most KES 250,000" in page
    assert "Continue to payment" not in page
    response = shopper.post("/checkout/")
    assert response.status_code == 400
    assert "at most KES 250,000" in response.content.decode()
    assert not Order.objects.exists()


@pytest.fixture
def own_page(shopper):
    return shopper.post("/checkout/", WHO)["Location"]


def test_the_order_page_shows_everything_and_asks_for_the_phone(shopper, own_page):
    page = shopper.get(own_page).content.decode()
    order = Order.objects.get()
    for text in ("Tea", "2 × KES 160", "3,270", order.number, order.account_number, "Open", "Wanjiku"):
        assert text in page
    assert 'name="phone_number"' in page
    assert f'value="{order.pk}"' in page


def test_strangers_who_hold_the_address_see_no_name(own_page):
    page = Client().get(own_page).content.decode()
    assert "Tea" in page
    assert "Wanjiku" not in page
    assert "wanjiku@example.com" not in page


def test_the_page_is_its_own_key(shopper, own_page):
    for response in (shopper.get(own_page), shopper.post(f"{own_page}cancel/"), shopper.get(own_page)):
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["X-Robots-Tag"] == "noindex"
        assert response["Cache-Control"] == "no-store"


def test_its_forms_still_say_where_they_come_from(shopper, own_page):
    """With the header alone browsers send them with `Origin: null`, and the CSRF check refuses that."""
    assert '<meta name="referrer" content="same-origin">' in shopper.get(own_page).content.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/orders/00000000-0000-4000-8000-000000000000/",
        "/orders/nonsense/",
        "/orders/1/",
        "/orders/٣٣٣٣٣٣٣٣-0000-4000-8000-000000000000/",
    ],
)
def test_unknown_and_malformed_ids_are_404(client, db, path):
    assert client.get(path).status_code == 404
    assert client.post(f"{path}cancel/").status_code == 404


@pytest.fixture
def shown(client, order):
    def show():
        return client.get(f"/orders/{order.pk}/").content.decode()

    return show


def test_while_a_payment_is_open_the_page_leads_to_it(shown, order, begin_payment):
    payment = begin_payment(order)
    page = shown()
    assert f"/payments/{payment.pk}/" in page
    assert 'name="phone_number"' not in page
    assert "Cancel this order" not in page


def test_after_a_failed_payment_the_page_asks_again(shown, order, begin_payment):
    begin_payment(order, "FAILED")
    assert 'name="phone_number"' in shown()


def test_while_the_shop_checks_a_payment_nobody_is_asked_to_pay(shown, order, begin_payment):
    begin_payment(order, "FAILED", under_review=True)
    page = shown()
    assert "Do not pay again." in page
    assert 'name="phone_number"' not in page


def test_a_paid_order_leads_to_its_payments_and_can_not_be_paid(shown, order, begin_payment):
    payments = [begin_payment(order, "COMPLETED") for _ in range(2)]
    Order.objects.update(status="PAID", amount_paid=order.amount)
    page = shown()
    assert "This order is paid" in page
    assert all(f"/payments/{payment.pk}/" in page for payment in payments)
    assert 'name="phone_number"' not in page
    assert "Cancel this order" not in page


def test_a_payment_of_another_environment_is_not_shown(shown, order, begin_payment):
    payment = begin_payment(order, "COMPLETED")
    order.transactions.update(environment="production")
    assert str(payment.pk) not in shown()


def test_an_order_is_cancelled_from_its_page(client, order):
    response = client.post(f"/orders/{order.pk}/cancel/", follow=True)
    page = response.content.decode()
    assert "This order was cancelled" in page
    assert "No money was taken for it." in page
    assert 'name="phone_number"' not in page


def test_money_for_a_cancelled_order_is_owned_up_to(shown, order):
    Order.objects.update(status="CANCELLED", amount_paid=320)
    assert "KES 320 still arrived for it." in shown()


def test_cancelling_while_a_payment_is_open_is_refused_with_a_sentence(client, order, begin_payment):
    begin_payment(order)
    response = client.post(f"/orders/{order.pk}/cancel/")
    assert response.status_code == 409
    assert "is open on a phone" in response.content.decode()
    order.refresh_from_db()
    assert order.status == "OPEN"


def test_a_name_is_text_and_not_markup(client, tea):
    Product.objects.update(name="<b>Tea</b>")
    client.post("/cart/add/", {"sku": "tea"})
    response = client.post("/checkout/", {"customer_name": "<script>alert(1)</script>"}, follow=True)
    assert "<script>alert" not in response.content.decode()
    assert "<b>Tea" not in response.content.decode()


def test_the_same_things_bought_again_are_another_order(client, tea):
    for _visit in range(2):
        client.post("/cart/add/", {"sku": "tea"})
        client.post("/checkout/")
    assert Order.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_taps_at_the_same_moment_place_one_order(shopper):
    session = shopper.cookies["sessionid"].value

    def tap():
        browser = Client()
        browser.cookies["sessionid"] = session
        return browser.post("/checkout/", WHO)["Location"]

    with crowd(4) as fingers:
        locations = fingers.do([tap] * 4)
    assert len(set(locations)) == 1
    assert Order.objects.count() == 1
