"""Below our own code: HTTP and WebSocket against the rules, while others go on."""

from __future__ import annotations

import random
import socket as sockets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from tests.abuse.raw import PING, connect, frame, handshake, open_socket, statuses, talk
from tests.abuse.rig.caller import Answer
from tests.abuse.rig.tally import Tally
from tests.abuse.rig.target import Target
from tests.abuse.wire import HANDSHAKES, REQUESTS, against_the_rules, foreign_origins, frames

METHODS = [
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "MKCOL", "PURGE"),
    *("get", "G\xc9T", "GET\t", "", "A" * 500, "QUERY", "SUBSCRIBE", "PRI"),
]
PATHS = ["/", "/api/orders/", "/payments/stk-push/", "/payments/status/", "/admin/login/", "/mpesa/stk_push_callback/"]
HOSTS = [
    *("evil.example", "", "127.0.0.1:99999", "127.0.0.1@evil.example", "[::1", "a" * 300, "127.0.0.1/../", "\xe9"),
    *("127.0.0.1#x", "127.0.0.1 evil", "*", "localhost:0", "xn--e1afmkfd", "127.0.0.1\tx", ".127.0.0.1"),
]
HUGE = 200 * 1024 * 1024  # bytes
HUGE_MAY_TAKE = 50 * 1024  # KiB of memory
CHUNK = b"x" * 65_536
SLOW = 60  # bodies that stop half-way, at once
BOARD = "/ws/staff/payments/?format=json"
ACCEPTED = 0.3  # seconds of silence, from which a socket has been opened
OFTEN = 100  # handshakes, from which the whole is meant
SOME_FRAMES = 25  # connections between two looks at a bystander


def broken_requests(target: Target, seed: int, inputs: int) -> Tally:
    """Send each request that contradicts itself, HTTP or good manners, and the great and slow ones: one answer each."""
    tally = target.tally()
    cases = list(_requests(target))
    random.Random(seed).shuffle(cases)
    for name, request in cases[:inputs]:
        answers, _received = _send(target, tally, request, name)
        if len(answers) > 1:
            tally.change(f"what was behind {name} has been answered: {answers}")
        _expect_alive(target, tally, name)
    for great in (_declared, _chunked, _lying):
        if tally.inputs < inputs:
            _send_great(target, tally, great)
    if tally.inputs < inputs:
        _be_slow(target, tally)
    return tally


def _requests(target: Target) -> Iterator[tuple[str, bytes]]:
    host = urlsplit(target.base_url).netloc
    for path in PATHS:
        start = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        for name in REQUESTS:
            yield f"{name} to {path}", against_the_rules(name, start, host)
        for method in METHODS:
            line = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            yield f"{method!r} {path}", line.encode("latin-1")
    for named in HOSTS:
        yield f"host {named[:40]!r}", f"GET / HTTP/1.1\r\nHost: {named}\r\nConnection: close\r\n\r\n".encode("latin-1")
    for number in [*range(32), 0x7F, 0x80, 0x85, 0xA0, 0xFF]:
        for place in ("X-Odd: a{}b", "X-O{}dd: b", "Cookie: sessionid={}", "Origin: http://127.0.0.1{}"):
            header = place.format(chr(number))
            request = f"GET / HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n\r\n"
            yield f"byte {number:#x} in {place}", request.encode("latin-1")
    for version in ("HTTP/0.9", "HTTP/1.0", "HTTP/2.0", "HTTP/1.99", "HTCPCP/1.0", ""):
        yield f"version {version!r}", f"GET / {version}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    for count, size in ((90, 10), (99, 4_000), (5_000, 10), (1, 60_000)):
        headers = "".join(f"X-{number}: {'y' * size}\r\n" for number in range(count))
        yield (
            f"{count} headers of {size}",
            f"GET / HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n".encode(),
        )
    expectant = f"POST /api/orders/ HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
    expectant += "Connection: close\r\n\r\n{}"
    yield "100-continue", expectant.encode()
    yield "an unknown expectation", expectant.replace("100-continue", "200-maybe").encode()
    upgrade = "Upgrade: h2c\r\nConnection: Upgrade, close\r\n"
    yield "an upgrade to h2c", f"GET / HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n".encode()


def _send(target: Target, tally: Tally, request: bytes, about: object, **patience: float) -> tuple[list[int], bytes]:
    """Send bytes, count the first answer to them, and return the statuses of all and everything that came."""
    received, seconds = talk(target.base_url, request, **patience)
    answers = statuses(received)
    tally.saw(Answer(answers[0] if answers else None, received, seconds=seconds), about)
    return answers, received


def _expect_alive(target: Target, tally: Tally, after: str) -> None:
    answer = target.caller().get("/healthz")
    if answer.status != 200:
        tally.error(f"/healthz said {answer.status} after {after}")


def _declared(connection: sockets.socket, head: str) -> None:
    connection.sendall(f"{head}Content-Length: {HUGE}\r\n\r\n".encode())
    _pour(connection, lambda: CHUNK)


def _chunked(connection: sockets.socket, head: str) -> None:
    connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    _pour(connection, lambda: b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))


def _lying(connection: sockets.socket, head: str) -> None:
    connection.sendall(f"{head}Content-Length: 10\r\n\r\n".encode())
    _pour(connection, lambda: CHUNK)


def _pour(connection: sockets.socket, chunk: Callable[[], bytes]) -> None:
    for _chunk in range(HUGE // len(CHUNK)):
        connection.sendall(chunk())


def _send_great(target: Target, tally: Tally, write: Callable[[sockets.socket, str], None]) -> None:
    """Send 200 MB to a route of each kind; no server may hold more than a part of it."""
    host = urlsplit(target.base_url).netloc
    for path in ("/api/orders/", "/payments/stk-push/", "/admin/login/"):
        before = target.memory()
        target.forget_peak()
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        with connect(target.base_url) as connection, suppress(OSError):
            write(connection, head)
        _expect_alive(target, tally, f"200 MB to {path}")
        grown = target.peak() - before
        tally.inputs += 1
        tally.notes["200 MB, KiB"] = max(grown, tally.notes.get("200 MB, KiB", 0))
        if grown > HUGE_MAY_TAKE:
            tally.error(f"200 MB to {path} took {grown} KiB")


def _be_slow(target: Target, tally: Tally) -> None:
    """Hold many bodies half-way while others are served."""
    host = urlsplit(target.base_url).netloc
    start = f"POST /api/orders/ HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n"
    slow = [connect(target.base_url) for _connection in range(SLOW)]
    for connection in slow:
        connection.sendall(f"{start}\r\n{{".encode())
    for _request in range(20):
        tally.saw(target.caller().get("/api/products/"), "beside slow bodies", expected={200})
    for connection in slow:
        connection.close()
    tally.inputs += SLOW


# Sockets ----------------------------------------------------------------------------------------------------------


def broken_frames(target: Target, seed: int, inputs: int) -> Tally:
    """Write frames against RFC 6455 into a payment's socket while somebody else waits at it for the end."""
    from payments.callback_token import make_callback_token
    from payments.tests.conftest import callback_body

    tally, dice, caller = target.tally(), random.Random(seed), target.caller()
    payment = target.payment()
    path = f"/ws/payments/{payment.pk}/"
    with open_socket(target.base_url, f"{path}?format=json") as bystander:
        while tally.inputs < inputs:
            for _connection in range(SOME_FRAMES):
                tally.inputs += _write_frames(target, path, dice)
            answer = caller.get(f"/payments/status/?transaction_id={payment.pk}")
            tally.saw(answer, "beside frames", expected={200}, inputs=0)
        token = make_callback_token(payment.pk)
        tally.saw(caller.post(f"/payments/callback/{token}/", callback_body(payment)), "the end", inputs=0)
        if not _hears(bystander, b"COMPLETED"):
            tally.error("the bystander's socket did not hear of the end")
    return tally


def _write_frames(target: Target, path: str, dice: random.Random) -> int:
    """Write some frames, wait until the server has ended the connection, and return how many they were."""
    many = dice.randint(1, 5)
    data = b"".join(frames(dice, most=1) for _frame in range(many))
    if dice.random() < 0.02:
        data, many = frame(b"", opcode=PING) * 500, 1  # a flood is one input
    elif dice.random() < 0.02:
        data, many = frame(b"x", final=False) + frame(b"y" * 100, opcode=0, final=False) * 100, 1
    with open_socket(target.base_url, path) as connection, suppress(OSError):
        connection.settimeout(1)
        connection.sendall(data)
        connection.shutdown(sockets.SHUT_WR)
        while connection.recv(65_536):
            pass
    return many


def _hears(connection: sockets.socket, wanted: bytes) -> bool:
    heard = b""
    connection.settimeout(10)
    with suppress(OSError):
        while wanted not in heard and (more := connection.recv(65_536)):
            heard += more
    return wanted in heard


def broken_handshakes(target: Target, seed: int, inputs: int) -> Tally:
    """Ask for sockets in wrong ways: foreign pages, no session, an ended one, paths that lead nowhere."""
    tally, dice = target.tally(), random.Random(seed)
    host = urlsplit(target.base_url).netloc
    payment = target.payment()
    paths = [f"/ws/payments/{payment.pk}/", BOARD, "/ws/payments/1/", "/ws/", "/"]
    foreign = foreign_origins(host.split(":")[1])
    for number in range(inputs):
        headers = list(dice.choice([(), *HANDSHAKES]))
        origin = foreign[number // 2 % len(foreign)] if number % 2 else ""
        path = paths[0] if origin else dice.choice(paths)
        headers += [f"Origin: {origin}"] if origin else []
        request = handshake(path, host, *headers)
        answers, received = _send(target, tally, request, (path, headers), patience=ACCEPTED)
        if origin and 101 in answers:
            tally.change(f"a page of {origin} got a socket")
        if path == paths[1] and b"totals" in received:
            tally.change("the board was told to nobody in particular")
    if inputs >= OFTEN:
        _log_out_while_open(target, tally)  # which takes as long as a heartbeat
    return tally


def _log_out_while_open(target: Target, tally: Tally) -> None:
    """End a session whose board is open; the next heartbeat ends the board."""
    from tests.abuse.rig.people import staff_session

    session = staff_session()
    host = urlsplit(target.base_url).netloc
    cookie, origin = f"Cookie: sessionid={session.session_key}", f"Origin: {target.base_url}"
    with connect(target.base_url) as connection:
        connection.sendall(handshake(BOARD, host, cookie, origin))
        if not _hears(connection, b"totals"):
            tally.error("staff got no board")
        session.delete()
        connection.settimeout(20)
        if not _hears_end(connection):
            tally.change("the board outlived its session")
    tally.inputs += 1


def _hears_end(connection: sockets.socket) -> bool:
    """Return whether the server ends the socket (an opcode of 8, or the connection itself) within a heartbeat."""
    until = time.monotonic() + 20
    with suppress(OSError):
        while time.monotonic() < until:
            data = connection.recv(65_536)
            if not data or b"\x88\x02\x11\x33" in data:  # close, two bytes: 4403
                return True
    return False
