"""Staff's passwords, hashed so that a flood of logins costs customers nothing but a little time."""

from __future__ import annotations

import threading

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection

AT_ONCE = 2  # in a process; each keeps a core busy for half a second or more
_turn = threading.BoundedSemaphore(AT_ONCE)


class PatientHasher(PBKDF2PasswordHasher):
    """Django's own, which takes turns and keeps no database connection meanwhile.

    Twenty-five guesses at once, each with a connection in its hand, emptied the pool, and others were answered 503.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        if not connection.in_atomic_block:
            connection.close()  # back into the pool; what comes after the hash takes another
        with _turn:
            return super().encode(password, salt, iterations)
