"""One deployment for all tests of this directory; each hurts it and leaves it well."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fake_daraja import FakeDaraja, running_daraja
from tests.production.load import Visit, prepared
from tests.production.stack import Stack, running_stack


@pytest.fixture(scope="package")
def daraja() -> Iterator[tuple[FakeDaraja, str]]:
    with running_daraja() as found:
        yield found


@pytest.fixture(scope="package")
def stack(daraja: tuple[FakeDaraja, str]) -> Iterator[Stack]:
    """The deployment; whoever asks it over https, or is called back by it, trusts its certificate."""
    with running_stack(daraja[1], tls=True) as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(found.certificate))
        yield found


@pytest.fixture
def begin(stack: Stack, daraja: tuple[FakeDaraja, str]) -> Callable[[int], list[Visit]]:
    """Begin so many payments."""
    return lambda count: prepared(stack.direct, daraja[0], count)
