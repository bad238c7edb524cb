"""E-mail that cannot hurt a payment: written down with it, sent afterwards by a thread of its own.

A letter leaves once. Whoever moves `send_after` first has it, so any number of processes may send; one that dies
between the mail server's yes and our note of it sends again, under the same Message-ID, and never loses a letter.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from smtplib import SMTPException
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import DatabaseError
from django.db.models import F
from django.db.transaction import atomic
from django.utils import timezone

from payments.models import Mail
from payments.models.mail import this_environment

log = structlog.get_logger(__name__)

GAPS = (30, 120, 600, 3_600, 21_600, 86_400)  # seconds until the next attempt; after the last nobody tries again
CLAIM = timedelta(seconds=300)  # longer than a letter can take: every step has EMAIL_TIMEOUT
LOOK_EVERY = 1.0  # seconds
BATCH = 50  # letters a round


def enqueue(*, key: str, to: str, subject: str, body: str) -> bool:
    """Write a letter down, to leave once this transaction is committed; True when it is new.

    `key` names the occasion: the second letter about it is not written. Never raises: a letter that cannot be
    written is a line in the log, and the payment goes on.
    """
    try:
        with atomic():  # a savepoint, or on PostgreSQL a fault here would take the whole transaction with it
            _letter, is_new = Mail.objects.get_or_create(
                environment=this_environment(),
                key=key,
                defaults={"to": to, "subject": _one_line(subject), "body": body},
            )
    except (DatabaseError, ValueError) as error:  # ValueError: a NUL, which PostgreSQL's driver refuses
        log.error("mail.not_written", key=key, error=type(error).__name__)
        return False
    return is_new


def _one_line(subject: str) -> str:
    """Return the subject as a header may hold it: a line break in a shop's name would be another header."""
    return " ".join(subject.split())[: Mail._meta.get_field("subject").max_length]


def send_due() -> int:
    """Send what is due, until the mail server fails; return how many letters left."""
    sent = 0
    due = Mail.objects.filter(environment=this_environment(), send_after__lte=timezone.now())
    for letter in list(due.order_by("send_after")[:BATCH]):
        if not _claim(letter):
            continue
        if not _send(letter):
            break  # the others would wait for the same server
        sent += 1
    return sent


def _claim(letter: Mail) -> bool:
    mine = Mail.objects.filter(pk=letter.pk, send_after=letter.send_after)
    return bool(mine.update(send_after=timezone.now() + CLAIM, attempts=F("attempts") + 1))


def _send(letter: Mail) -> bool:
    try:
        _message(letter).send()
    except (SMTPException, OSError, ValueError) as error:  # ValueError: an address that is none
        _keep_for_later(letter, error)
        return False
    Mail.objects.filter(pk=letter.pk).update(sent_at=timezone.now(), send_after=None, error="")
    log.info("mail.sent", key=letter.key)
    return True


def _message(letter: Mail) -> EmailMessage:
    # The same for every attempt, so that a reader's program shows a letter that came twice once.
    name = hashlib.sha256(f"{letter.environment}|{letter.key}".encode()).hexdigest()[:32]
    host = urlsplit(settings.PUBLIC_BASE_URL).hostname
    headers = {"Message-ID": f"<{name}@{host}>", "Auto-Submitted": "auto-generated"}
    return EmailMessage(letter.subject, letter.body, to=[letter.to], headers=headers)


def _keep_for_later(letter: Mail, error: Exception) -> None:
    attempts = letter.attempts + 1  # the claim has counted this one
    next_try = timezone.now() + timedelta(seconds=GAPS[attempts - 1]) if attempts <= len(GAPS) else None
    # Only the kind of error: the server's own words repeat the customer's address.
    Mail.objects.filter(pk=letter.pk).update(send_after=next_try, error=type(error).__name__)
    log.warning("mail.failed", key=letter.key, error=type(error).__name__, attempts=attempts, given_up=next_try is None)
