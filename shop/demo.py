"""What a shop needs to be tried out: a shelf of goods and, in the simulator only, somebody to log in as."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db.transaction import atomic

from shop.models import Product

STAFF_NAME = "staff"

# SKU, name, description, price in whole KES, picture. The last two together are more than M-PESA takes at once.
CATALOGUE = [
    ("unga-2kg", "Maize flour", "Unga wa dona, 2 kg", 185, "unga.svg"),
    ("chai-250g", "Kericho tea", "Loose leaf, 250 g", 160, "chai.svg"),
    ("kahawa-250g", "Nyeri coffee", "AA beans, roasted, 250 g", 650, "kahawa.svg"),
    ("peremende", "Peremende", "One mint sweet", 1, "peremende.svg"),
    ("kiondo", "Kiondo basket", "Sisal and leather, by hand", 2_400, "kiondo.svg"),
    ("kikoi", "Kikoi", "Cotton wrap from Lamu", 1_200, "kikoi.svg"),
    ("jiko", "Clay-lined jiko", "Half the charcoal", 1_800, "jiko.svg"),
    ("sufuria-5l", "Sufuria", "Aluminium, with lid, 5 l", 750, "sufuria.svg"),
    ("taa-sola", "Solar lamp", "Three nights on one day of sun", 2_950, "taa.svg"),
    ("chaja-usbc", "Phone charger", "USB-C, 20 W, with cable", 900, "chaja.svg"),
    ("power-bank", "Power bank", "20,000 mAh", 3_500, "pawa.svg"),
    ("boda-umeme", "Electric boda", "80 km a charge, helmet included", 249_500, "boda.svg"),
]


def seed_catalogue() -> int:
    """Fill an empty shelf and return how much was put there; what a shopkeeper has changed is left alone."""
    with atomic():
        if Product.objects.exists():
            return 0
        names = ("sku", "name", "description", "price", "picture")
        goods = [
            Product(position=position, **dict(zip(names, row, strict=True)))
            for position, row in enumerate(CATALOGUE, start=1)
        ]
        return len(Product.objects.bulk_create(goods, ignore_conflicts=True))


def seed_staff() -> AbstractBaseUser | None:
    """Let the demo's staff log in as `staff_login` says and return them; where money is real there is nobody."""
    if not settings.SIMULATOR:
        return None
    name, password = staff_login()
    user, is_new = get_user_model().objects.get_or_create(
        username=name, defaults={"is_staff": True, "is_superuser": True}
    )
    # A database kept while var/ was thrown away: the login that is printed must be one that works.
    if is_new or not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    return user


def staff_login() -> tuple[str, str]:
    """Return name and password of the demo's staff; the password is made once and kept in `var/`, mode 0600."""
    path = _password_file()
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_once(path, secrets.token_urlsafe(12))
    return STAFF_NAME, path.read_text().strip()


def _password_file() -> Path:
    return Path(settings.BASE_DIR) / "var" / "staff-password"


def _write_once(path: Path, text: str) -> None:
    """Write a file that is either whole or not there; of two processes at once, the first one's text stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{text}\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
