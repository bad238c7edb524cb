from __future__ import annotations

import pytest

from realtime.tests.sockets import communicator, new_payment, path_of

pytestmark = pytest.mark.usefixtures("server_loop")

OURS = ["https://duka.example", "https://DUKA.example:443", "https://checkout.example:8443", "http://localhost:8000"]
FOREIGN = [
    "null",
    "",
    "http://duka.example",
    "https://duka.example:444",
    "https://duka.example.evil.example",
    "https://evil.example",
    "https://www.duka.example",
    "https://duka.example@evil.example",
    "https://duka.example/",
    "https://checkout.example",
    "http://localhost:8001",
    "file://",
    "duka.example",
    "https://duka.example, https://evil.example",
]


@pytest.fixture(autouse=True)
def _our_addresses(settings):
    settings.PUBLIC_BASE_URL = "https://duka.example"
    settings.CSRF_TRUSTED_ORIGINS = ["https://checkout.example:8443", "http://localhost:8000"]
    settings.SIMULATOR = False


async def _opens(origin: str, path: str = "") -> bool:
    socket = communicator(path or path_of((await new_payment()).pk), headers={"Origin": origin})
    accepted, _ = await socket.connect()
    if accepted:
        await socket.disconnect()
    return accepted


@pytest.mark.parametrize("origin", OURS)
async def test_our_own_pages_are_served(origin):
    assert await _opens(origin)


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_page_is_refused_in_the_handshake(origin):
    assert not await _opens(origin)


async def test_a_foreign_page_is_refused_on_unknown_paths_too():
    assert not await _opens("https://evil.example", path="/ws/nowhere/")


async def test_two_origins_are_foreign_even_when_one_is_ours():
    socket = communicator(path_of((await new_payment()).pk), headers={"Origin": "https://duka.example"})
    socket.scope["headers"].append((b"origin", b"https://duka.example"))
    assert await socket.connect() == (False, 1000)


async def test_a_client_that_is_no_browser_is_served():
    socket = communicator(path_of((await new_payment()).pk))
    assert await socket.connect() == (True, None)
    await socket.disconnect()


@pytest.mark.parametrize("origin", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"])
async def test_in_the_simulator_the_loopback_names_are_ours_at_the_servers_port(origin, settings):
    settings.SIMULATOR, settings.PUBLIC_BASE_URL, settings.CSRF_TRUSTED_ORIGINS = True, "http://192.168.1.5:8000", []
    assert await _opens(origin)
    assert not await _opens(origin.replace("8000", "8001"))
