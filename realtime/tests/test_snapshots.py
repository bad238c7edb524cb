"""Many pages that open together are read for together; each is shown its own payment, and a failure is everybody's."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from django.db import OperationalError

from payments import documents
from realtime import snapshots
from realtime.database import read
from realtime.listener import listener
from realtime.tests.sockets import new_payment, watching
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("server_loop")


class Statements:
    """What is read, statement by statement, and held up until the test lets it pass."""

    def __init__(self):
        self.asked, self.may_pass = [], asyncio.Event()
        self._arrived = asyncio.Condition()

    async def read(self, function, some):
        async with self._arrived:
            self.asked.append(list(some))
            self._arrived.notify_all()
        await self.may_pass.wait()
        return await read(function, some)

    async def are(self, count):
        """Wait until so many are under way."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.asked) >= count)


@pytest.fixture
def statements(monkeypatch):
    statements = Statements()
    monkeypatch.setattr(snapshots, "read", statements.read)
    return statements


async def test_one_page_is_read_for_at_once_and_the_rest_together(statements):
    keys = [(await new_payment()).pk for _ in range(5)]
    opening = [asyncio.create_task(snapshots.snapshots().of(keys[0]))]
    await statements.are(1)
    opening += [asyncio.create_task(snapshots.snapshots().of(key)) for key in keys[1:] + keys[1:2]]
    await asyncio.sleep(0)
    statements.may_pass.set()
    facts = await asyncio.gather(*opening)
    assert statements.asked == [keys[:1], keys[1:]]
    assert [each["transaction_id"] for each in facts] == [str(key) for key in keys + keys[1:2]]


async def test_a_second_statement_does_not_wait_for_the_first_when_very_many_do(statements, monkeypatch):
    monkeypatch.setattr(snapshots, "AT_ONCE", 2)
    keys = [(await new_payment()).pk for _ in range(8)]
    opening = [asyncio.create_task(snapshots.snapshots().of(key)) for key in keys]
    await statements.are(snapshots.READERS)
    statements.may_pass.set()
    assert [each["transaction_id"] for each in await asyncio.gather(*opening)] == [str(key) for key in keys]
    assert max(map(len, statements.asked)) == 2


async def test_a_payment_that_we_do_not_have_is_nobodys_trouble_but_its_own():
    known, unknown = (await new_payment()).pk, uuid4()
    found = await asyncio.gather(*map(snapshots.snapshots().of, (unknown, known, uuid4())))
    assert [bool(each) for each in found] == [False, True, False]


async def test_a_page_that_leaves_while_it_is_read_for_takes_nothing_from_the_others(statements):
    payment = await new_payment()
    leaving, staying = (asyncio.create_task(snapshots.snapshots().of(payment.pk)) for _ in range(2))
    await statements.are(1)
    leaving.cancel()
    statements.may_pass.set()
    assert (await staying)["transaction_id"] == str(payment.pk)
    assert leaving.cancelled()


async def test_a_failed_read_fails_those_it_was_for_and_the_next_is_tried(monkeypatch):
    async def away(function, some):
        raise OperationalError("the database is away")

    payment = await new_payment()
    with monkeypatch.context() as patched:
        patched.setattr(snapshots, "read", away)
        with pytest.raises(OperationalError):
            await snapshots.snapshots().of(payment.pk)
    assert await snapshots.snapshots().of(payment.pk)


async def test_every_page_is_in_its_group_before_it_is_read_for(statements):
    keys = {(await new_payment()).pk for _ in range(3)}
    opening = [asyncio.create_task(snapshots.snapshots().of(key)) for key in keys]
    await statements.are(1)
    assert keys <= listener()._joined
    statements.may_pass.set()
    await asyncio.gather(*opening)


async def test_fifty_pages_that_open_together_each_show_their_own_payment():
    payments = [await new_payment(amount=100 + number) for number in range(50)]

    async def amount_shown(payment, number):
        async with watching(payment, address=f"10.0.1.{number}") as socket:
            return (await socket.receive_json_from())["amount"]

    shown = await asyncio.gather(*(amount_shown(payment, number) for number, payment in enumerate(payments)))
    assert shown == list(range(100, 150))


async def test_facts_read_together_are_the_facts_read_alone():
    keys = [(await new_payment()).pk for _ in range(3)]
    alone = [await read(documents.load_facts, key) for key in keys]
    together = await read(documents.load_facts_of, [*keys, uuid4()])
    assert sorted(together, key=str) == sorted(alone, key=str)
    assert len(await read(documents.load_facts_of, keys * documents.AT_ONCE)) >= len(keys)
    other = await new_payment(environment="production")
    assert await read(documents.load_facts_of, [other.pk, other.pk]) == []


async def test_who_comes_in_the_very_moment_in_which_the_last_reader_ends_is_read_for(monkeypatch):
    keys = [(await new_payment()).pk for _ in range(2)]
    later = []

    async def read_and_have_another_come(function, some):
        found = await read(function, some)
        # The reader ends in this step of the loop; the other page asks in the same one, right behind it.
        if not later:
            later.append(asyncio.create_task(snapshots.snapshots().of(keys[1])))
        return found

    monkeypatch.setattr(snapshots, "read", read_and_have_another_come)
    async with asyncio.timeout(PATIENCE):
        assert await snapshots.snapshots().of(keys[0])
        assert await later[0]
