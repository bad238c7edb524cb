"""Everything that M-PESA posts, as M-PESA would never post it; and callbacks of people who are not M-PESA."""

from __future__ import annotations

import json
import random
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.abuse.bodies import Bodies
from tests.abuse.rig.caller import Answer, Caller
from tests.abuse.rig.tally import Tally
from tests.abuse.rig.target import Target, state_of
from tests.abuse.rig.timing import SEPARABLE, welch

if TYPE_CHECKING:
    from payments.models import Conversation, Transaction
    from shop.models import Order

VICTIMS = 20  # payments that forgers try to have believed
LOOK_EVERY = 250  # forgeries
TRUSTED_ANSWERS = {200, 400, 413}


def _path(payment: Transaction) -> str:
    from payments.callback_token import make_callback_token

    return f"/payments/callback/{make_callback_token(payment.pk)}/"


def fuzz(kind: str, target: Target, seed: int, inputs: int) -> Tally:
    """Post bodies with a valid token; only one that truly says so may end its payment."""
    from payments.tests.conftest import callback_body

    tally, caller = target.tally(), target.caller()
    payment = target.payment()
    bodies = Bodies(seed, json.loads(callback_body(payment)))
    before = _end_of(payment)
    for _input in range(inputs):
        body = getattr(bodies, kind)()
        tally.saw(caller.post(_path(payment), body), body[:300], expected=TRUSTED_ANSWERS)
        if (now := _end_of(payment)) != before:
            _judge(tally, payment, body, now)
            if now[0] == "COMPLETED":
                _contradict(tally, caller, payment, now)
            payment = target.payment()
            bodies.true, before = json.loads(callback_body(payment)), _end_of(payment)
    return tally


def _end_of(payment: Transaction) -> tuple[Any, ...]:
    from payments.models import Transaction

    shown = ("status", "reason", "mpesa_receipt_number", "under_review", "version", "order__status", "amount")
    return tuple(Transaction.objects.filter(pk=payment.pk).values_list(*shown).get())


def _judge(tally: Tally, payment: Transaction, body: bytes, now: tuple[Any, ...]) -> None:
    """Count a change that the body does not bear out; a payment that is blocked for a person to look is none."""
    from tests.abuse.truth import really_fails, really_pays

    status, _reason, _receipt, under_review, _version, order_status, amount = now
    allowed = {
        "COMPLETED": really_pays(body, payment) and order_status == "PAID",
        "FAILED": really_fails(body, payment) and order_status == "OPEN",
        "PENDING": under_review and order_status == "OPEN",
    }
    if not allowed[status] or amount != payment.amount:
        tally.change(f"{now} after {body[:300]!r}")


def _contradict(tally: Tally, caller: Caller, payment: Transaction, paid: tuple[Any, ...]) -> None:
    """Post a failure of what has been paid, and count any change."""
    from payments.tests.conftest import callback_body

    answer = caller.post(_path(payment), callback_body(payment, code=1032))
    tally.saw(answer, "a failure after the success", expected=TRUSTED_ANSWERS)
    if (now := _end_of(payment)) != paid:
        tally.change(f"{paid} became {now} after its success")


# Without a token ------------------------------------------------------------------------------------------------


def forged(target: Target, seed: int, inputs: int) -> Tally:
    """Forge callbacks for other people's payments in every way that a customer can think of."""
    from payments.tests.conftest import callback_body
    from tests.abuse.forgeries import forgery, is_hint

    tally, caller, dice = target.tally(), target.caller(), random.Random(seed)
    victims = [target.payment() for _victim in range(VICTIMS)]
    before = state_of([victim.pk for victim in victims])
    for number in range(inputs):
        mine, other = dice.sample(victims, 2)
        path, claims = forgery(number, mine, other, dice)
        headers = {name.removeprefix("HTTP_").replace("_", "-"): value for name, value in claims.items()}
        body = callback_body(mine, code=dice.choice([0, 0, 0, "0", 1032]))
        answer = caller.post(path, body, **headers)
        tally.saw(answer, path, expected={200} if is_hint(number) else {404})
        if number % LOOK_EVERY == LOOK_EVERY - 1 or number == inputs - 1:
            _compare(tally, before, state_of([victim.pk for victim in victims]))
    return tally


def _compare(tally: Tally, before: list[Any], after: list[Any]) -> None:
    for then, now in zip(before, after, strict=True):
        if then != now:
            tally.change(f"{then} became {now}")


def timing(target: Target, seed: int, inputs: int) -> Tally:
    """Ask with tokens that are wrong at once and tokens that are wrong at their end, in a random order."""
    from payments.callback_token import make_callback_token

    tally, caller, dice = target.tally(), target.caller(), random.Random(seed)
    token = make_callback_token(target.payment().pk)
    near, far = _wrong_at(token, -1), _wrong_at(token, 33)
    times: dict[str, list[float]] = {near: [], far: []}
    for _input in range(inputs):
        chosen = dice.choice([near, far])
        answer = tally.saw(caller.post(f"/payments/callback/{chosen}/", b"{}"), chosen, expected={404})
        times[chosen].append(answer.seconds)
    t = welch(*(sorted(values)[: int(len(values) * 0.9)] for values in times.values()))
    tally.notes["t"] = round(t, 2)
    if abs(t) > SEPARABLE:
        tally.change(f"the time tells how much of a token is right: t = {t:.1f}")
    return tally


def _wrong_at(token: str, place: int) -> str:
    place %= len(token)
    return token[:place] + ("0" if token[place] != "0" else "1") + token[place + 1 :]


# By hand, and results ---------------------------------------------------------------------------------------------


def by_hand(target: Target, seed: int, inputs: int) -> Tally:
    """Post confirmations and validations on the secret path, which is evidence of nothing: no payment may follow."""
    from payments.c2b.path import confirmation_url, validation_url
    from payments.models import Transaction
    from payments.tests.by_hand import confirmation_body

    tally, caller = target.tally(), target.caller()
    payment = target.payment()
    true = json.loads(confirmation_body(payment.account_reference, payment.amount))
    bodies, dice = Bodies(seed, true), random.Random(seed)
    paths = [url.removeprefix(target.base_url) for url in (confirmation_url(), validation_url())]
    wrong = [path.replace("/c2b/", "/c2b/0") for path in paths]
    before, many = state_of([payment.pk]), Transaction.objects.count()
    for number in range(inputs):
        body = dice.choice([bodies.generated, bodies.generated, bodies.raw])()
        if number % 10 == 9:
            tally.saw(caller.post(dice.choice(wrong), body), body[:300], expected={404})
        else:
            tally.saw(caller.post(dice.choice(paths), body), body[:300], expected=TRUSTED_ANSWERS)
    _compare(tally, before, state_of([payment.pk]))
    if Transaction.objects.count() != many:
        tally.change("a confirmation alone became a payment")
    return tally


@dataclass(frozen=True)
class _Stake:
    """An order that a confirmation says to be paid by hand, and our question to M-PESA whether that is true."""

    order: Order
    receipt: str
    conversation: Conversation

    def body(self, **changes: Any) -> bytes:
        """Return M-PESA's word that it is true, or something else."""
        from payments.tests.test_conversations import result_body

        values = {"DebitPartyName": "254708374126 - WANJIKU", "CreditPartyName": "174379 - Shop", "Amount": 1500}
        values |= {"TransactionStatus": "Completed", "ReceiptNo": self.receipt}
        listed = {"ResultParameter": [{"Key": key, "Value": value} for key, value in values.items()]}
        ids = {"OriginatorConversationID": "29115-1-1", "ConversationID": "AG_20261125_1"}
        return result_body(**{"ResultParameters": listed, **ids, **changes})

    def state(self) -> tuple[Any, ...]:
        """Return what the money of the order and the confirmation have come to."""
        from payments.models import Confirmation, Transaction
        from shop.models import Order

        paid = Transaction.objects.filter(order=self.order).values_list("status", "amount", "mpesa_receipt_number")
        order = Order.objects.values_list("status", "amount_paid").get(pk=self.order.pk)
        return (*order, *paid, Confirmation.objects.filter(trans_id=self.receipt).values_list("state").get())


def _stake(target: Target, caller: Caller) -> _Stake:
    from payments.c2b.path import confirmation_url
    from payments.conversations.asking import begin
    from payments.models import Conversation
    from payments.tests.by_hand import confirmation_body

    order, receipt = target.order(), f"UK{secrets.randbelow(10**8):08d}"
    caller.post(
        confirmation_url().removeprefix(target.base_url), confirmation_body(order.account_number, 1500, receipt=receipt)
    )
    kind = Conversation.Kind.TRANSACTION_STATUS
    conversation = begin(kind, receipt=receipt, purpose="by_hand", subject=receipt)
    ids = {"originator_conversation_id": "29115-1-1", "conversation_id": "AG_20261125_1"}
    Conversation.objects.filter(pk=conversation.pk).update(**ids)
    return _Stake(order, receipt, conversation)


def results(target: Target, seed: int, inputs: int) -> Tally:
    """Post results of a question with valid tokens, and with those of the other route; only a true one may pay."""
    from payments.callback_token import make_callback_token

    tally, caller, dice = target.tally(), target.caller(), random.Random(seed)
    stake = _stake(target, caller)
    bodies, before = Bodies(seed, json.loads(stake.body())), stake.state()
    for _input in range(inputs):
        route, other = dice.sample(["result", "timeout"], 2)
        body = dice.choice([bodies.generated, bodies.generated, bodies.raw])()
        use = dice.choice([route, route, route, other, ""])
        token = make_callback_token(stake.conversation.pk, use=use)
        expected = TRUSTED_ANSWERS if use == route else {404}
        tally.saw(_post_result(caller, route, token, body), body[:300], expected=expected)
        if (now := stake.state()) != before:
            _judge_result(tally, caller, stake, body if (route, use) == ("result", "result") else b"", now)
            stake = _stake(target, caller)
            bodies.true, before = json.loads(stake.body()), stake.state()
    return tally


def _judge_result(tally: Tally, caller: Caller, stake: _Stake, body: bytes, now: tuple[Any, ...]) -> None:
    """Count money that the body does not bear out, and money that a later denial takes away."""
    from payments.callback_token import make_callback_token
    from tests.abuse.truth import really_confirms

    paid = ("PAID", 1500, ("COMPLETED", 1500, stake.receipt), ("counted",))
    if now == ("OPEN", 0, ("refused",)):
        return
    if now != paid or not really_confirms(body, stake.receipt):
        tally.change(f"{now} after {body[:300]!r}")
    tally.notes["paid"] = tally.notes.get("paid", 0) + 1
    denial = stake.body(ResultCode="R000002", ResultDesc="The receipt does not exist")
    answer = _post_result(caller, "result", make_callback_token(stake.conversation.pk, use="result"), denial)
    tally.saw(answer, "a denial after the confirmation", expected={200})
    if stake.state() != paid:
        tally.change(f"{paid} became {stake.state()} after a denial")


def _post_result(caller: Caller, route: str, token: str, body: bytes) -> Answer:
    return caller.post(f"/payments/callback/{route}/{token}/", body)
