"""What must hold for a payment whatever happened to the processes that handled it."""

from __future__ import annotations

from payments.daraja.client import QueryAnswer
from payments.models import Callback, Reason, Status, Transaction
from shop.models import Order

PAID = QueryAnswer("success", "0", "The service request is processed successfully.", None)
CANCELLED = QueryAnswer("failure", "1032", "Request cancelled by user", Reason.CANCELLED)
UNANSWERED = QueryAnswer("pending", "4999", "The transaction is still under processing", None)
RECEIPT_ARRIVED = "The receipt arrived"


def violations(payment: Transaction) -> list[str]:
    """Return what is wrong with a payment that the customer paid once."""
    payment = Transaction.objects.select_related("order").get(pk=payment.pk)
    events = list(payment.events.all())
    completions = [e for e in events if e.new_status == Status.COMPLETED and e.old_status != Status.COMPLETED]
    left = [e for e in events if e.old_status == Status.COMPLETED and e.new_status != Status.COMPLETED]
    changes = [e for e in events if e.old_status != e.new_status or e.note == RECEIPT_ARRIVED]
    rules = {
        "is completed": payment.status == Status.COMPLETED,
        "completed exactly once": len(completions) == 1,
        "never left COMPLETED": not left,
        "order is paid": payment.order.status == Order.Status.PAID,
        "order was paid once": payment.order.amount_paid == payment.order.amount,
        "version counts the changes": payment.version == 1 + len(changes),
        "every version has its line": {e.version for e in changes} == set(range(2, payment.version + 1)),
        "is no surplus": not payment.surplus and not payment.discrepancies.filter(kind="surplus").exists(),
        "inbox is settled": not Callback.objects.filter(transaction_id=payment.pk, state="received").exists(),
    }
    return [f"not true: {rule}" for rule, holds in rules.items() if not holds]
