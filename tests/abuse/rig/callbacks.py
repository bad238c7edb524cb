"""Everything that M-PESA posts, as M-PESA would never post it; and callbacks of people who are not M-PESA."""

from __future__ import annotations

import json
import random
import statistics
from typing import TYPE_CHECKING, Any

from tests.abuse.bodies import Bodies
from tests.abuse.rig.caller import Answer, Caller
from tests.abuse.rig.tally import Tally
from tests.abuse.rig.target import Target, state_of

if TYPE_CHECKING:
    from payments.models import Transaction

VICTIMS = 20  # payments that forgers try to have believed
LOOK_EVERY = 250  # forgeries
SEPARABLE = 10.0  # Welch's t from which two means are told apart beyond doubt, on a machine that does other things too
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
    t = _welch(*(sorted(values)[: int(len(values) * 0.9)] for values in times.values()))
    tally.notes["t"] = round(t, 2)
    if abs(t) > SEPARABLE:
        tally.change(f"the time tells how much of a token is right: t = {t:.1f}")
    return tally


def _wrong_at(token: str, place: int) -> str:
    place %= len(token)
    return token[:place] + ("0" if token[place] != "0" else "1") + token[place + 1 :]


def _welch(one: list[float], two: list[float]) -> float:
    """Return Welch's t of two samples: far from 0, their means differ."""
    spread = (statistics.variance(one) / len(one) + statistics.variance(two) / len(two)) ** 0.5
    return (statistics.fmean(one) - statistics.fmean(two)) / spread if spread else 0.0


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


def results(target: Target, seed: int, inputs: int) -> Tally:
    """Post results of questions and reversals with valid tokens, and with those of the other route."""
    from payments.callback_token import make_callback_token
    from payments.conversations.asking import begin
    from payments.models import Conversation
    from payments.tests.test_conversations import result_body

    tally, caller, dice = target.tally(), target.caller(), random.Random(seed)
    payment = target.payment()
    conversation = begin(
        Conversation.Kind.TRANSACTION_STATUS, receipt="UKP7R2X0QD", purpose="by_hand", subject="UKP7R2X0QD"
    )
    ids = {"originator_conversation_id": "another-1-1", "conversation_id": "AG_another"}
    Conversation.objects.filter(pk=conversation.pk).update(**ids)
    bodies = Bodies(seed, json.loads(result_body()))
    before = state_of([payment.pk])
    for _input in range(inputs):
        route, other = dice.sample(["result", "timeout"], 2)
        body = dice.choice([bodies.generated, bodies.generated, bodies.raw])()
        use = dice.choice([route, route, route, other, ""])
        token = make_callback_token(conversation.pk, use=use)
        expected = TRUSTED_ANSWERS if use == route else {404}
        tally.saw(_post_result(caller, route, token, body), body[:300], expected=expected)
    _compare(tally, before, state_of([payment.pk]))
    return tally


def _post_result(caller: Caller, route: str, token: str, body: bytes) -> Answer:
    return caller.post(f"/payments/callback/{route}/{token}/", body)
