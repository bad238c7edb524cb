from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from shop import demo
from shop.models import LARGEST_AMOUNT, Product

PICTURES = Path(__file__).resolve().parents[2] / "static" / "catalogue"
PALETTE = """
#faf8f3 #fff #e4e0d6 #15211b #ecf2ee #a5b3aa #0b6b41 #54c890 #e2f3e8 #7d5200 #f2c662 #fff3d4 #93310f #f5a98a #fdeae2
#1c4a86 #9cc4f5 #e7effa
"""


@pytest.fixture
def seed(db, settings, tmp_path, capsys):
    settings.BASE_DIR = tmp_path

    def seed():
        call_command("seed_demo")
        return capsys.readouterr().out

    return seed


def log_in(client):
    name, password = demo.staff_login()
    response = client.post("/admin/login/?next=/admin/", {"username": name, "password": password})
    return response.status_code == 302 and client.get("/admin/").status_code == 200


def test_a_dozen_goods_from_one_shilling_to_nearly_the_most(seed):
    assert "12 products" in seed()
    prices = sorted(Product.objects.values_list("price", flat=True))
    assert len(prices) == 12
    assert prices[0] <= 50
    assert LARGEST_AMOUNT * 0.9 < prices[-1] <= LARGEST_AMOUNT


def test_seeding_again_changes_nothing(seed):
    seed()
    Product.objects.filter(sku="kiondo").update(price=9)
    Product.objects.filter(sku="jiko").delete()
    password = get_user_model().objects.get().password
    assert seed() == ""
    assert (Product.objects.count(), Product.objects.get(sku="kiondo").price) == (11, 9)
    assert get_user_model().objects.get().password == password


def test_the_staff_login_works_and_is_kept_from_other_users(seed, client, settings):
    seed()
    assert log_in(client)
    assert get_user_model().objects.get().is_superuser
    assert len(demo.staff_login()[1]) >= 16
    assert stat.S_IMODE((settings.BASE_DIR / "var" / "staff-password").stat().st_mode) == 0o600


def test_a_login_that_was_thrown_away_is_made_anew(seed, client, settings):
    seed()
    old = demo.staff_login()
    (settings.BASE_DIR / "var" / "staff-password").unlink()
    seed()
    assert demo.staff_login() != old
    assert log_in(client)


def test_where_money_is_real_nobody_gets_a_demo_login(seed, settings):
    settings.SIMULATOR = False
    seed()
    assert not get_user_model().objects.exists()
    assert not (settings.BASE_DIR / "var").exists()


@pytest.mark.parametrize("picture", sorted(row[4] for row in demo.CATALOGUE))
def test_every_picture_is_small_and_in_the_shops_colours(picture):
    svg = (PICTURES / picture).read_text()
    assert len(svg) < 2048
    assert 'viewBox="0 0 240 180"' in svg
    assert set(re.findall(r"#[0-9a-f]{3,6}", svg)) <= set(PALETTE.split())
    assert not re.search(r"<script|href|style|url\(", svg)


def test_no_picture_lies_about_unused():
    assert {path.name for path in PICTURES.iterdir()} == {row[4] for row in demo.CATALOGUE}
