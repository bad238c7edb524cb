"""How words of ours stand on a page."""

from __future__ import annotations

from django import template
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.filter
def whole(text: object) -> SafeString:
    """Keep M-PESA on one line: browsers break it after its hyphen, in headings most of all."""
    escaped = conditional_escape(str(text))
    return mark_safe(escaped.replace("M-PESA", "<span>M-PESA</span>"))  # noqa: S308 - escaped the line above
