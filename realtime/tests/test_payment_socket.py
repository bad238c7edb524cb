from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from channels.layers import get_channel_layer
from django.utils.translation import get_language

from payments import documents
from payments.models import Reason, Source, Status
from payments.transitions import transition
from realtime import layer
from realtime.audience import audience
from realtime.database import read
from realtime.tests.sockets import complete, new_payment, watching

pytestmark = pytest.mark.usefixtures("server_loop")


async def test_a_socket_opens_with_the_status_document():
    payment = await new_payment()
    async with watching(payment) as socket:
        assert await socket.receive_json_from() == documents.document(await read(documents.load_facts, payment.pk))


async def test_a_socket_opens_with_the_fragment_that_htmx_swaps():
    payment = await new_payment()
    async with watching(payment, query="") as socket:
        fragment = await socket.receive_from()
    assert fragment.startswith("<hx-partial")
    assert 'id="payment"' in fragment
    assert 'data-version="1"' in fragment


async def test_a_change_arrives_once_with_the_next_version():
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await complete(payment, "SKL1234567")
        document = await socket.receive_json_from()
        assert (document["status"], document["version"]) == ("COMPLETED", 2)
        assert document["mpesa_receipt_number"] == "SKL1234567"
        assert await socket.receive_nothing()


async def test_who_opens_late_gets_the_present_state():
    payment = await new_payment()
    await complete(payment)
    async with watching(payment) as socket:
        document = await socket.receive_json_from()
    assert (document["status"], document["version"]) == ("COMPLETED", 2)


async def test_an_older_version_is_never_sent_after_a_newer_one():
    payment = await new_payment()
    old = await read(documents.load_facts, payment.pk)
    await complete(payment)
    async with watching(payment) as socket:
        await socket.receive_json_from()
        message = {"type": "payment.changed", "version": 1, "facts": old}
        await get_channel_layer().group_send(layer.group_name(payment.pk), message)
        assert await socket.receive_nothing()


async def test_every_socket_of_a_payment_hears_and_no_socket_of_another():
    payment, other = await new_payment(), await new_payment()
    async with watching(payment) as one, watching(payment) as two, watching(other) as stranger:
        for socket in (one, two, stranger):
            await socket.receive_json_from()
        await complete(payment)
        assert (await one.receive_json_from())["status"] == "COMPLETED"
        assert (await two.receive_json_from())["status"] == "COMPLETED"
        assert await stranger.receive_nothing()


async def test_the_socket_of_a_failed_payment_stays_open_for_late_money():
    payment = await new_payment(status=Status.FAILED, reason=Reason.EXPIRED)
    await read(lambda: type(payment).objects.filter(pk=payment.pk).update(failed_at=payment.created_at))
    async with watching(payment) as socket:
        assert (await socket.receive_json_from())["status"] == "FAILED"
        await complete(payment)
        document = await socket.receive_json_from()
    assert (document["status"], document["late"]) == ("COMPLETED", True)


async def test_a_failure_arrives_with_its_reason():
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        await read(transition, payment.pk, Status.FAILED, source=Source.CALLBACK, reason=Reason.CANCELLED)
        document = await socket.receive_json_from()
    assert (document["status"], document["reason"]) == ("FAILED", "cancelled")


async def test_a_flood_of_changes_ends_with_the_newest_version():
    payment = await new_payment()
    facts = await read(documents.load_facts, payment.pk)
    async with watching(payment) as socket:
        await socket.receive_json_from()
        for version in range(2, 200):
            message = {"type": "payment.changed", "version": version, "facts": {**facts, "version": version}}
            await get_channel_layer().group_send(layer.group_name(payment.pk), message)
        seen = [1]
        while seen[-1] < 199:
            seen.append((await socket.receive_json_from())["version"])
    assert seen == sorted(set(seen))


async def test_a_message_that_nobody_understands_is_passed_over():
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        for facts in ({}, {"transaction_id": "x", "version": 9}, {"transaction_id": str(payment.pk), "version": "9"}):
            message = {"type": "payment.changed", "version": 9, "facts": facts}
            await get_channel_layer().group_send(layer.group_name(payment.pk), message)
        await complete(payment)
        assert (await socket.receive_json_from())["status"] == "COMPLETED"


async def test_leaving_the_page_leaves_nothing_behind():
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        assert payment.pk in audience
    assert payment.pk not in audience
    assert len(audience) == 0


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ({}, "en"),
        ({"Accept-Language": "sw-KE,sw;q=0.9,en;q=0.5"}, "sw"),
        ({"Cookie": "django_language=sw"}, "sw"),
        ({"Cookie": "a=b; django_language=en", "Accept-Language": "sw"}, "en"),
        ({"Cookie": "django_language=xx", "Accept-Language": "sw"}, "sw"),
        ({"Accept-Language": ";;;\xff,"}, "en"),
    ],
)
async def test_words_are_in_the_language_of_the_reader(headers, language, monkeypatch):
    monkeypatch.setattr(documents, "document", lambda facts: {"language": get_language()})
    async with watching(await new_payment(), headers=headers) as socket:
        assert await socket.receive_json_from() == {"language": language}


@pytest.mark.parametrize("query", ["?format=html", "?format=", "?format=json&format=json", "?x=%ff", "?format=JSON"])
async def test_any_other_format_is_the_fragment(query):
    async with watching(await new_payment(), query=query) as socket:
        assert (await socket.receive_from()).startswith("<hx-partial")


async def test_a_change_is_worded_once_per_language_however_many_read_it(monkeypatch):
    payment, worded, document = await new_payment(), [], documents.document

    def count(facts):
        worded.append((facts["version"], get_language()))
        return document(facts)

    async with watching(payment) as one, watching(payment) as two, watching(payment) as three:
        for socket in (one, two, three):
            await socket.receive_json_from()
        monkeypatch.setattr(documents, "document", count)
        await complete(payment)
        for socket in (one, two, three):
            await socket.receive_json_from()
    assert worded == [(2, "en")]


async def test_a_slow_reader_is_sent_only_the_newest_version():
    """A server with backpressure lets `send` wait; what has piled up meanwhile is one change, not fifty."""
    from realtime.change import Change
    from realtime.consumers import PaymentConsumer

    gate, sent = asyncio.Event(), []
    reader = PaymentConsumer()

    async def slow_send(message):
        await gate.wait()
        sent.append(message["text"])

    reader.base_send, reader.language, reader.as_json = slow_send, "en", True
    facts = await read(documents.load_facts, (await new_payment()).pk)
    for version in range(1, 51):
        reader.offer(Change({**facts, "version": version}))
        await asyncio.sleep(0)
    gate.set()
    await reader._writer
    assert [f'"version": {version},' in text for version, text in zip((1, 50), sent, strict=True)] == [True, True]


def test_group_names_are_the_payments_hex():
    transaction_id = uuid4()
    assert layer.group_name(transaction_id) == f"payment.{transaction_id.hex}"
