from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.db import OperationalError

from realtime import audience as audience_module
from realtime import live_socket, snapshots
from realtime.audience import audience
from realtime.tests.sockets import close_code, communicator, complete, new_payment, path_of, watching
from shop import limits

pytestmark = pytest.mark.usefixtures("server_loop")


async def test_an_unknown_payment_is_told_not_to_come_back():
    assert await close_code(communicator(path_of(uuid4()))) == 4404
    assert len(audience) == 0


@pytest.mark.parametrize(
    "malformed",
    [
        "1",
        "x" * 36,
        str(uuid4()).upper(),
        uuid4().hex,
        f"{{{uuid4()}}}",
        "٣" * 32,
        f"urn:uuid:{uuid4()}",
        "%00",
        "a" * 9000,
    ],
)
async def test_a_malformed_id_is_an_unknown_payment(malformed):
    assert await close_code(communicator(path_of(malformed))) == 4404


@pytest.mark.parametrize(
    "path", ["/", "/ws/", "/ws/payments/", f"/ws/payments/{uuid4()}", "/ws/orders/1/", "//", "/ws/%0a"]
)
async def test_an_unknown_path_is_told_not_to_come_back(path):
    assert await close_code(communicator(path)) == 4404


async def test_a_root_path_that_a_stranger_made_up_is_ignored():
    socket = communicator(path_of((await new_payment()).pk))
    socket.scope["root_path"] = "/elsewhere"
    assert await socket.connect() == (True, None)
    assert (await socket.receive_json_from())["version"] == 1
    await socket.disconnect()


async def test_a_payment_of_another_environment_is_unknown():
    assert await close_code(communicator(path_of((await new_payment(environment="production")).pk))) == 4404


async def test_the_twenty_first_socket_of_a_payment_is_refused_until_one_leaves(monkeypatch):
    monkeypatch.setattr(audience_module, "SOCKETS_PER_PAYMENT", 2)
    payment = await new_payment()
    async with watching(payment, address="10.0.0.1"), watching(payment, address="10.0.0.2"):
        assert await close_code(communicator(path_of(payment.pk), address="10.0.0.3")) == 4429
    async with watching(payment) as socket:
        assert (await socket.receive_json_from())["version"] == 1


async def test_too_many_sockets_of_one_address_are_refused_and_another_address_is_not(monkeypatch):
    monkeypatch.setattr(audience_module, "SOCKETS_PER_ADDRESS", 2)
    one, two, three = await new_payment(), await new_payment(), await new_payment()
    async with watching(one), watching(two):
        assert await close_code(communicator(path_of(three.pk))) == 4429
        async with watching(three, address="10.0.0.9") as socket:
            assert (await socket.receive_json_from())["version"] == 1


async def test_too_many_sockets_of_one_process_are_refused(monkeypatch):
    monkeypatch.setattr(audience_module, "SOCKETS_PER_PROCESS", 1)
    async with watching(await new_payment()):
        assert await close_code(communicator(path_of((await new_payment()).pk), address="10.0.0.2")) == 4429


async def test_a_load_run_may_open_as_many_as_it_likes(monkeypatch, settings):
    monkeypatch.setattr(audience_module, "SOCKETS_PER_PAYMENT", 1)
    settings.RATE_LIMITS = False
    payment = await new_payment()
    async with watching(payment), watching(payment) as socket:
        assert (await socket.receive_json_from())["version"] == 1


def test_the_limits_are_the_promised_ones():
    limits = audience_module.SOCKETS_PER_PAYMENT, audience_module.SOCKETS_PER_ADDRESS
    assert (*limits, audience_module.SOCKETS_PER_PROCESS) == (20, 100, 5000)


BAD = [
    "",
    "{",
    "[]",
    "1",
    "null",
    '"seen"',
    "{}",
    '{"type":"subscribe"}',
    '{"seen":0}',
    '{"seen":-1}',
    '{"seen":true}',
    '{"seen":1.0}',
    '{"seen":"1"}',
    '{"seen":null}',
    '{"seen":NaN}',
    '{"seen":1,"seen":2}',
    '{"seen":' + "9" * 200 + "}",
    '{"seen":1}' + " " * 300,
    "[" * 250,
    '{"seen":1,"x":"\\ud800"}',
]


@pytest.mark.parametrize("text", BAD)
async def test_a_bad_message_is_forgiven_three_times(text):
    async with watching(await new_payment()) as socket:
        await socket.receive_json_from()
        for _ in range(3):
            await socket.send_input({"type": "websocket.receive", "text": text})
        assert await socket.receive_nothing(timeout=0.02)
        await socket.send_input({"type": "websocket.receive", "text": text})
        assert await socket.receive_output() == {"type": "websocket.close", "code": 4400}


async def test_a_binary_message_is_a_bad_one():
    async with watching(await new_payment()) as socket:
        await socket.receive_json_from()
        for _ in range(4):
            await socket.send_to(bytes_data=b'{"seen":1}')
        assert await socket.receive_output() == {"type": "websocket.close", "code": 4400}


async def test_what_a_page_has_seen_is_taken_and_changes_nothing():
    payment = await new_payment()
    async with watching(payment) as socket:
        await socket.receive_json_from()
        for version in range(1, 20):
            await socket.send_json_to({"seen": version})
        await complete(payment)
        assert (await socket.receive_json_from())["version"] == 2


async def test_more_messages_than_any_page_sends_are_bad_ones():
    async with watching(await new_payment()) as socket:
        await socket.receive_json_from()
        for _ in range(live_socket.MESSAGES_PER_HEARTBEAT + 4):
            await socket.send_json_to({"seen": 1})
        assert await socket.receive_output() == {"type": "websocket.close", "code": 4400}


async def test_messages_after_the_close_are_no_matter():
    async with watching(await new_payment()) as socket:
        await socket.receive_json_from()
        for _ in range(20):
            await socket.send_input({"type": "websocket.receive", "text": "{"})
        assert (await socket.receive_output())["code"] == 4400
        assert await socket.receive_nothing()


@pytest.mark.parametrize(
    "error", [OperationalError("the database is away"), TimeoutError(), RuntimeError("a fault of ours")]
)
async def test_trouble_of_our_own_says_come_back(error, monkeypatch):
    async def broken(*args):
        raise error

    payment = await new_payment()
    monkeypatch.setattr(snapshots, "read", broken)
    assert await close_code(communicator(path_of(payment.pk))) == 4000
    assert len(audience) == 0


async def test_a_page_that_cannot_be_worded_says_come_back_and_spares_its_neighbour(monkeypatch):
    payment = await new_payment()
    async with watching(payment, query="") as fragment, watching(payment) as document:
        await fragment.receive_from()
        await document.receive_json_from()
        monkeypatch.setattr("realtime.change.render_to_string", lambda *args: json.loads("{"))
        await complete(payment)
        assert await fragment.receive_output() == {"type": "websocket.close", "code": 4000}
        assert (await document.receive_json_from())["version"] == 2


async def test_whoever_guesses_ids_is_refused_and_a_known_payment_is_shown_still(monkeypatch):
    monkeypatch.setattr(limits, "UNKNOWN_IDS_PER_ADDRESS", limits.Limit(2, limits.UNKNOWN_IDS_PER_ADDRESS.within))
    guesser = {"address": "10.0.0.7"}
    codes = [await close_code(communicator(path_of(uuid4()), **guesser)) for _guess in range(3)]
    assert codes == [4404, 4404, 4429]
    async with watching(await new_payment(), **guesser) as socket:
        assert (await socket.receive_json_from())["version"] == 1
