"""A prepared statement does what the same statement of the ORM does, also for values that bite."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.db.models import F
from django.db.transaction import atomic
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments.models import Callback, Transaction
from prepared import Select, Update, given, insert
from tests.factories import make_transaction

pytestmark = pytest.mark.django_db

WITH_ORDER = Select(lambda: Transaction.objects.select_related("order").filter(pk=given(Transaction, "id")))
RECEIPT = Update(
    lambda: Transaction.objects.filter(pk=given(Transaction, "id"), mpesa_receipt_number=None),
    lambda: {"mpesa_receipt_number": given(Transaction, "mpesa_receipt_number"), "version": F("version") + 1},
)


def _callback(**fields: Any) -> Callback:
    given_values = {"dedup_key": uuid.uuid4().hex, "environment": "simulator", "trusted": True, "digest": ""}
    return Callback(**{**given_values, "body": b"\x00\xff", "received_at": timezone.now(), **fields})


def test_a_row_is_the_model_that_the_orm_would_return_with_what_hangs_on_it() -> None:
    payment = make_transaction(mpesa_receipt_number="UKN7R2X0QD")
    found = WITH_ORDER.first(id=payment.pk)
    assert found == payment
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert found.order == payment.order
    assert len(queries) == 0
    for model in (found, found.order):
        true = type(model).objects.get(pk=model.pk)
        assert {key: value for key, value in vars(model).items() if key != "_state"} == {
            key: value for key, value in vars(true).items() if key != "_state"
        }


def test_nothing_is_found_where_there_is_nothing() -> None:
    assert WITH_ORDER.first(id=uuid.uuid4()) is None


@pytest.mark.parametrize("receipt", ["UKN7R2X0QD", "'; DROP TABLE payments_transaction; --", "100%", "%s", "ƙẞ🎉"])
def test_values_are_bound_and_never_pasted(receipt: str) -> None:
    payment = make_transaction()
    assert RECEIPT.run(id=payment.pk, mpesa_receipt_number=receipt) == 1
    assert RECEIPT.run(id=payment.pk, mpesa_receipt_number="another") == 0
    version = payment.version
    payment.refresh_from_db()
    assert (payment.mpesa_receipt_number, payment.version) == (receipt, version + 1)


def test_an_inserted_row_is_what_save_would_have_written() -> None:
    callback = _callback(remote_address="2001:db8::1")
    assert insert(callback)
    stored = Callback.objects.get(pk=callback.pk)
    assert (bytes(stored.body), stored.remote_address, stored.copies) == (b"\x00\xff", "2001:db8::1", 1)
    stored.copies = 2
    stored.save()


def test_a_unique_value_that_is_there_already_is_said_or_raises() -> None:
    assert insert(_callback(dedup_key="same"), unless_there=True)
    assert not insert(_callback(dedup_key="same"), unless_there=True)
    with pytest.raises(IntegrityError), atomic():
        insert(_callback(dedup_key="same"))


def test_a_value_that_its_field_does_not_take_raises_as_in_the_orm() -> None:
    with pytest.raises(ValidationError):
        insert(_callback(received_at="yesterday"))


def test_all_rows_are_the_models_that_the_orm_would_return() -> None:
    payments = [make_transaction() for _ in range(3)]
    places = [given(Transaction, "id", f"id_{number}") for number in range(4)]
    some = Select(lambda: Transaction.objects.select_related("order").filter(pk__in=places).order_by("created_at"))
    first, second, _ = (payment.pk for payment in payments)
    with CaptureQueriesContext(connection) as queries:
        found = some.all(id_0=first, id_1=second, id_2=second, id_3=uuid.uuid4())
        assert [payment.order for payment in found] == [payment.order for payment in payments[:2]]
    assert (found, len(queries)) == (payments[:2], 1)
