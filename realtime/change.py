"""One version of a payment on its way to those who watch it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.template.loader import render_to_string
from django.utils import translation

from payments import documents
from payments.models import Status
from payments.screen import screen


class Change:
    """The facts of one version, put into words once per language and format however many sockets show them."""

    __slots__ = ("_texts", "facts", "transaction_id", "version")

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.transaction_id = UUID(facts["transaction_id"])
        self.version: int = facts["version"]
        self._texts: dict[tuple[str, bool], str] = {}

    @property
    def is_an_end(self) -> bool:
        """Whether the payment has ended with this version or an earlier one."""
        return bool(self.facts["status"] != Status.PENDING)

    def text(self, language: str, *, as_json: bool) -> str:
        """Return the frame for a reader of `language`: the status document, or the page's fragment for htmx."""
        if (language, as_json) not in self._texts:
            with translation.override(language):
                self._texts[language, as_json] = self._document() if as_json else self._fragment()
        return self._texts[language, as_json]

    def _document(self) -> str:
        return json.dumps(documents.document(self.facts))

    def _fragment(self) -> str:
        return render_to_string("payments/_push.html", {"payment": screen(self.facts)})
