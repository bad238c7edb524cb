"""The demo exists in the simulator only, and is the one page that may have frames."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from django.urls import Resolver404, clear_url_caches, resolve

import demo
import urls
from simulator.scenarios import Delivery, Outcome, PushAnswer

FRAMED = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "same-origin"}


def _policy(response: Any) -> dict[str, str]:
    return dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))


@pytest.mark.django_db
def test_the_demo_may_frame_our_own_pages_and_is_framed_by_nobody(client: Any) -> None:
    response = client.get("/demo/")
    assert response.status_code == 200
    policy = _policy(response)
    assert (policy["frame-src"], policy["frame-ancestors"], policy["default-src"]) == ("'self'", "'none'", "'none'")


@pytest.mark.django_db
def test_the_demo_and_the_words_of_its_script_are_there_in_swahili(client: Any) -> None:
    page = client.get("/demo/", headers={"Accept-Language": "sw"}).text
    assert '<html lang="sw">' in page
    for words in ("Anzisha malipo", "anaghairi", 'data-unhurt="Mtandao uko sawa."'):
        assert words in page


@pytest.mark.django_db
def test_the_frames_of_a_new_visitor_share_one_cookie_for_their_forms(client: Any) -> None:
    """Frames load at once: were each given a cookie of its own, the last would refuse the forms of the others."""
    assert client.get("/demo/").cookies["csrftoken"].value
    token = client.cookies["csrftoken"].value
    for path in ("/", "/simulator/phone/"):
        client.get(path, headers=FRAMED)
        assert client.cookies["csrftoken"].value == token


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/simulator/phone/", "/admin/login/"])
def test_a_page_may_be_in_a_frame_only_when_the_browser_says_it_is_one_of_ours(client: Any, path: str) -> None:
    framed = client.get(path, headers=FRAMED)
    assert (_policy(framed)["frame-ancestors"], framed.headers["X-Frame-Options"]) == ("'self'", "SAMEORIGIN")
    for headers in ({}, {**FRAMED, "Sec-Fetch-Site": "cross-site"}, {**FRAMED, "Sec-Fetch-Dest": "document"}):
        alone = client.get(path, headers=headers)
        assert (_policy(alone)["frame-ancestors"], alone.headers["X-Frame-Options"]) == ("'none'", "DENY")
        assert "frame-src" not in _policy(alone)


@pytest.mark.django_db
def test_outside_the_simulator_nothing_may_be_in_a_frame(client: Any, settings: Any) -> None:
    settings.SIMULATOR = False
    assert _policy(client.get("/", headers=FRAMED))["frame-ancestors"] == "'none'"
    assert "demo-network" not in client.get("/", headers=FRAMED).text


def test_outside_the_simulator_there_is_no_demo(settings: Any) -> None:
    settings.SIMULATOR = False
    try:
        importlib.reload(urls)
        clear_url_caches()
        for path in ("/demo/", "/simulator/phone/"):
            with pytest.raises(Resolver404):
                resolve(path)
    finally:
        settings.SIMULATOR = True
        importlib.reload(urls)
        clear_url_caches()


@pytest.mark.django_db
def test_a_page_loads_the_network_to_hurt_only_in_a_frame(client: Any) -> None:
    assert "demo-network" in client.get("/", headers=FRAMED).text
    assert "demo-network" not in client.get("/").text


def test_every_choice_of_the_demo_is_one_of_the_simulator() -> None:
    offered = {name: {value for _words, value in options} for name, _label, options in demo.MENUS}
    assert offered["outcome"] <= set(Outcome.values)
    assert offered["delivery"] <= set(Delivery.values)
    assert offered["push"] <= set(PushAnswer.values)
