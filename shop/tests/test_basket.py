from __future__ import annotations

import pytest
from django.test import Client

from shop.cart import Cart
from shop.models import LARGEST_QUANTITY, MOST_LINES, Product


def add(client, sku, quantity=None):
    return client.post("/cart/add/", {"sku": sku} if quantity is None else {"sku": sku, "quantity": quantity})


def change(client, sku, quantity):
    return client.post("/cart/change/", {"sku": sku, "quantity": quantity})


def basket(client):
    return Cart(client.session).items


def test_a_product_goes_into_the_basket_and_the_page_back_to_its_shelf(client, tea):
    response = add(client, "tea")
    assert (response.status_code, response["Location"]) == (303, "/#tea")
    assert basket(client) == [("tea", 1)]


def test_the_same_product_again_is_one_more(client, tea):
    add(client, "tea")
    add(client, "tea", 3)
    assert basket(client) == [("tea", 4)]


def test_quantities_are_changed_and_taken_out(client, tea, lamp):
    add(client, "tea")
    add(client, "lamp")
    assert change(client, "tea", 7)["Location"] == "/cart/"
    change(client, "lamp", 0)
    assert basket(client) == [("tea", 7)]


def test_more_than_99_is_refused_with_a_sentence(client, tea):
    add(client, "tea", LARGEST_QUANTITY)
    response = client.post("/cart/add/", {"sku": "tea"}, follow=True)
    assert basket(client) == [("tea", LARGEST_QUANTITY)]
    assert "The basket holds no more of this." in response.content.decode()


def test_more_than_fifty_products_are_refused_with_a_sentence(client, db):
    Product.objects.bulk_create(Product(sku=f"x{n}", name="Thing", price=1) for n in range(MOST_LINES + 1))
    session = client.session
    session["cart"] = {f"x{n}": 1 for n in range(MOST_LINES)}
    session.save()
    response = client.post("/cart/change/", {"sku": f"x{MOST_LINES}", "quantity": 1}, follow=True)
    assert len(basket(client)) == MOST_LINES
    assert "The basket is full." in response.content.decode()


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"sku": "nothing"}, 404),
        ({}, 400),
        ({"sku": ""}, 400),
        ({"sku": "tea\x00"}, 400),
        ({"sku": "tea", "quantity": "100"}, 400),
        ({"sku": "tea", "quantity": "-1"}, 400),
        ({"sku": "tea", "quantity": "1.5"}, 400),
        ({"sku": "tea", "quantity": "many"}, 400),
    ],
)
def test_what_no_button_of_ours_posts_is_refused(client, tea, form, status):
    assert client.post("/cart/add/", form).status_code == status
    assert client.post("/cart/change/", form).status_code == status
    assert basket(client) == []


def test_what_is_no_longer_sold_falls_out(client, tea, lamp):
    add(client, "tea")
    add(client, "lamp")
    Product.objects.filter(sku="tea").update(is_active=False)
    assert basket(client) == [("lamp", 1)]
    assert "Tea" not in client.get("/cart/").content.decode()


def test_prices_in_the_basket_are_those_of_the_moment(client, tea):
    add(client, "tea", 2)
    Product.objects.update(price=1_000)
    assert "2,000" in client.get("/cart/").content.decode()


def test_the_catalogue_shows_what_is_sold_and_what_is_in_the_basket(client, tea, lamp):
    Product.objects.create(sku="old", name="Old thing", price=1, is_active=False)
    add(client, "lamp", 2)
    page = client.get("/").content.decode()
    assert "2,950" in page
    assert "2 in basket" in page
    assert "5,900" in page
    assert "Old thing" not in page


def test_a_picture_that_is_not_there_does_not_take_the_shelf_down(client, tea, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "shop.tests.test_basket.NothingCollected"},
    }
    Product.objects.update(picture="gone.svg")
    assert Product.objects.get().picture_url == ""


class NothingCollected:
    def url(self, name):
        raise ValueError(f"Missing staticfiles manifest entry for '{name}'")


def test_an_empty_shelf_and_an_empty_basket_are_pages_too(client, db):
    assert "The shelf is empty" in client.get("/").content.decode()
    assert "Your basket is empty" in client.get("/cart/").content.decode()


def test_looking_around_sets_no_session(client, tea):
    client.get("/")
    client.get("/cart/")
    assert "sessionid" not in client.cookies


@pytest.mark.parametrize(("path", "to_a_get"), [("/cart/add/", 405), ("/cart/change/", 405), ("/checkout/", 303)])
def test_the_forms_want_a_post_with_a_csrf_token(tea, path, to_a_get):
    strict = Client(enforce_csrf_checks=True)
    assert strict.get(path).status_code == to_a_get
    refused = strict.post(path, {"sku": "tea"})
    assert refused.status_code == 403
    assert "Please try once more" in refused.content.decode()
