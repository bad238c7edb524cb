"""Every word that people read exists in Swahili: found in the sources, filled in the catalogue, compiled."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation.template import templatize

CATALOGUE = Path(settings.LOCALE_PATHS[0]) / "sw" / "LC_MESSAGES"
NAMES = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext"}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")
TAG = re.compile(r"<[^>]+>")
# What templatize makes of a template: calls such as gettext(u'…') between filler.
CALL = re.compile(r"\b(?:gettext|ngettext|_)\(\s*u?(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')", re.DOTALL)


def sources(pattern: str) -> list[Path]:
    """Return the files of the house itself, without tests and migrations."""
    found = list(settings.BASE_DIR.glob(pattern))
    for folder in ("shop", "payments", "realtime", "simulator", "templates"):
        found += (settings.BASE_DIR / folder).rglob(pattern)
    return [path for path in found if not {"tests", "migrations"} & set(path.parts)]


def in_python(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def in_template(path: Path) -> Iterator[str]:
    for found in CALL.finditer(templatize(path.read_text("utf-8"), origin=str(path))):
        yield ast.literal_eval(found[1])


def used_messages() -> set[str]:
    python = {message for path in sources("*.py") for message in in_python(path)}
    templates = {message for path in sources("*.html") for message in in_template(path)}
    return python | templates


@pytest.fixture(scope="module")
def compiled() -> dict[str, str]:
    """The compiled catalogue; a plural is found under its singular."""
    with open(CATALOGUE / "django.mo", "rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog
    pairs = ((key if isinstance(key, str) else key[0], text) for key, text in catalogue.items())
    return {key: text for key, text in pairs if key}


def test_the_search_finds_what_it_should():
    messages = used_messages()
    assert {"Check your phone", "Pay KES %(amount)s with M-PESA", "Not paid", "%(count)s item"} <= messages


def test_no_message_is_without_its_swahili(compiled: dict[str, str]):
    missing = sorted(message for message in used_messages() if not compiled.get(message))
    assert missing == [], "translate them in locale/sw/LC_MESSAGES/django.po and run `make messages`"


def test_the_compiled_catalogue_is_the_written_one(compiled: dict[str, str]):
    written = (CATALOGUE / "django.po").read_text("utf-8")
    assert "#, fuzzy" not in written
    texts = {ast.literal_eval(line) for line in re.findall(r'^msgstr(?:\[\d\])? (".+")$', written, re.MULTILINE)}
    assert texts - {""} == set(compiled.values())


def test_a_translation_keeps_every_placeholder_and_tag(compiled: dict[str, str]):
    for message, text in compiled.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(message)), message
        assert sorted(TAG.findall(text)) == sorted(TAG.findall(message)), message
