"""The staff's socket as a machine reads it: who gets in, what it is told, and when it is cut off."""

from __future__ import annotations

import asyncio

import pytest
from django.contrib.auth.models import Permission
from django.utils.crypto import get_random_string

from realtime import live_socket
from realtime.board import painter, rights, shared
from realtime.board import room as board_room
from realtime.board.look import Look
from realtime.board.room import Room, room
from realtime.database import read
from realtime.tests.boards import (
    PATH,
    SEES,
    board_of,
    close_code_after_opening,
    headers_of,
    logged_in,
    make_staff,
    new_staff,
    next_of,
)
from realtime.tests.sockets import change_elsewhere, close_code, communicator, complete, new_payment

pytestmark = pytest.mark.usefixtures("in_memory")


@pytest.fixture(autouse=True)
def _nothing_counted_yet():
    shared.forget_all()


async def test_a_board_is_told_the_totals_when_it_opens():
    payment = await new_payment()
    await complete(payment)
    async with board_of(await new_staff(SEES)) as board:
        totals = await board.receive_json_from()
    assert set(totals) == {"type", "today", "hour", "as_of"}
    assert totals["type"] == "totals"
    assert totals["today"] == totals["hour"] == {"amount": 1500, "completed": 1, "failed": 0, "pending": 0}


async def test_a_change_reaches_the_board_and_moves_the_totals():
    payment = await new_payment()
    async with board_of(await new_staff(SEES)) as board:
        assert (await next_of(board, "totals"))["today"]["pending"] == 1
        await complete(payment)
        document = (await next_of(board, "payment"))["payment"]
        while (totals := await next_of(board, "totals"))["today"]["pending"]:
            pass  # counted before the change
    assert (document["transaction_id"], document["status"], document["version"]) == (str(payment.pk), "COMPLETED", 2)
    assert "2547•••••" in document["phone_number"]
    assert (totals["today"]["pending"], totals["today"]["amount"]) == (0, 1500)


async def test_one_more_count_follows_the_one_after_a_change(monkeypatch):
    counted = []

    def count(looks):
        counted.append(now)
        return {}

    monkeypatch.setattr(painter, "figures", count)
    quiet_room = Room()
    quiet_room._is_dirty = True
    for now in (10.0, 10.5, 11.0, 12.0, 13.0, 16.0):
        await quiet_room._paint(now)
    assert counted == [10.0, 11.0, 16.0]


async def test_a_page_has_its_turn_among_the_frames_of_many_boards(monkeypatch):
    class Board:
        look = Look()

        def show(self, text):
            told.append(text)

    told, crowded = [], Room()
    monkeypatch.setattr(painter, "seen", lambda seconds, looks: {look: ["board"] for look in looks})
    crowded._boards = {Board() for _number in range(50)}
    crowded._seen = {"a payment": 0.1}
    crowded._counted_at = 10.0
    asyncio.get_running_loop().call_soon(told.append, "page")
    monkeypatch.setattr(board_room, "read_aside", at_once)
    await crowded._paint(10.0)
    assert told.count("board") == 50
    assert told.index("page") <= board_room.AT_ONCE


async def at_once(read, *args):
    return read(*args)


async def test_a_version_is_told_once_however_often_it_is_heard():
    payment = await new_payment()
    async with board_of(await new_staff(SEES)) as board:
        await next_of(board, "totals")
        await complete(payment)
        await next_of(board, "payment")
        room.notice(payment.pk, 2)
        room.notice(payment.pk, 1)
        while not await board.receive_nothing(timeout=0.7):
            assert (await board.receive_json_from())["type"] != "payment"


@pytest.mark.usefixtures("running_tailer")
async def test_the_board_converges_when_no_message_arrives(in_memory, monkeypatch):
    async def lose(group, message):
        pass

    monkeypatch.setattr(in_memory, "group_send", lose)
    payment = await new_payment()
    async with board_of(await new_staff(SEES)) as board:
        await next_of(board, "totals")
        await asyncio.sleep(1.2)  # a round of the tailer, which begins where the history ends
        await change_elsewhere(payment.pk)
        assert (await next_of(board, "payment"))["payment"]["version"] == 2


async def test_nothing_is_lost_while_the_database_is_away(monkeypatch):
    payment, feed, failures = await new_payment(), painter.feed, []

    def away_once(news, looks):
        if not failures:
            failures.append(1)
            raise TimeoutError
        return feed(news, looks)

    monkeypatch.setattr(painter, "feed", away_once)
    async with board_of(await new_staff(SEES)) as board:
        await next_of(board, "totals")
        await complete(payment)
        assert (await next_of(board, "payment"))["payment"]["status"] == "COMPLETED"
    assert failures


@pytest.mark.parametrize("permissions", [(), ("view_callback",)])
async def test_without_the_permission_the_socket_closes_with_4403(permissions):
    client = await new_staff(*permissions)
    assert await close_code(communicator(PATH, headers=headers_of(client))) == 4403


@pytest.mark.parametrize("fields", [{"is_staff": False}, {"is_active": False}])
async def test_who_is_no_staff_at_work_is_refused(fields):
    client = await new_staff(SEES, **fields)
    assert await close_code(communicator(PATH, headers=headers_of(client))) == 4403


@pytest.mark.parametrize("cookie", ["", "sessionid=", f"sessionid={get_random_string(32)}", "sessionid=\x00'--"])
async def test_strangers_are_refused(cookie):
    headers = {"Origin": "http://127.0.0.1:8000", "Cookie": cookie}
    assert await close_code(communicator(PATH, headers=headers)) == 4403


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1:9"])
async def test_only_our_own_pages_open_it(origin):
    headers = headers_of(await new_staff(SEES)) | {"Origin": origin or ""}
    if origin is None:
        del headers["Origin"]
    socket = communicator(PATH, headers=headers)
    accepted, _ = await socket.connect()
    assert not accepted


def _log_out(client):
    client.logout()


def _take_the_permission(client):
    Permission.objects.get(codename=SEES).user_set.clear()


def _dismiss(client):
    from django.contrib.auth import get_user_model

    get_user_model().objects.update(is_active=False)


def _change_the_password(client):
    from django.contrib.auth import get_user_model

    for user in get_user_model().objects.all():
        user.set_password(get_random_string(20))
        user.save()


@pytest.mark.parametrize("lose_it", [_log_out, _take_the_permission, _dismiss, _change_the_password])
async def test_who_loses_the_right_is_cut_off_at_the_next_heartbeat(lose_it, monkeypatch):
    monkeypatch.setattr(live_socket, "HEARTBEAT_SECONDS", 0.2)
    client = await new_staff(SEES)
    async with board_of(client) as board:
        await next_of(board, "ping")
        await read(lose_it, client)
        assert await close_code_after_opening(board) == 4403


async def test_a_board_whose_rights_cannot_be_read_comes_back_later(monkeypatch):
    monkeypatch.setattr(live_socket, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr("realtime.board.consumer.UNPROVEN_SECONDS", 0.3)
    async with board_of(await new_staff(SEES)) as board:
        await next_of(board, "ping")

        def away(headers):
            raise TimeoutError

        monkeypatch.setattr(rights, "staff_of", away)
        assert await close_code_after_opening(board) == 4000


async def test_a_reader_who_never_reads_is_told_to_come_back(monkeypatch):
    monkeypatch.setattr("realtime.board.consumer.LONGEST_QUEUE", 3)
    async with board_of(await new_staff(SEES)) as board:
        await next_of(board, "totals")
        (consumer,) = room._boards
        send = consumer.base_send

        async def send_to_who_does_not_read(message):
            if message["type"] == "websocket.send":
                await asyncio.Event().wait()
            await send(message)

        monkeypatch.setattr(consumer, "base_send", send_to_who_does_not_read)
        for number in range(5):
            consumer.show(f"{number}")
        assert await close_code_after_opening(board) == 4000


async def test_nobody_is_painted_for_after_the_last_board_has_left():
    client = await new_staff(SEES)
    async with board_of(client) as board:
        await next_of(board, "totals")
        assert len(room) == 1
    assert len(room) == 0
    room.notice((await new_payment()).pk, 1)
    assert not room._news


def test_a_superuser_may_see_it(db):
    client = logged_in(make_staff(is_superuser=True))
    cookie = headers_of(client)["Cookie"].encode()
    assert rights.staff_of([(b"cookie", cookie)]) is not None
