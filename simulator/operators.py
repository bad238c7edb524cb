"""The shop's API operator: the key that its password is encrypted for, and whether what comes is that password."""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from simulator import credentials, record

_KEY_BITS = 2048
_VALID = timedelta(days=3650)
_NAME = "operator"


def certificate() -> str:
    """Return the certificate (PEM) that the shop encrypts its operator's password with."""
    return _key()[1]


def is_operator(name: object, security_credential: object) -> bool:
    """Return whether name and encrypted password are the operator's; M-PESA says so only in the result."""
    if not isinstance(name, str) or not isinstance(security_credential, str):
        return False
    password = _decrypted(security_credential)
    right_name = hmac.compare_digest(name.encode(), credentials.initiator_name().encode())
    return right_name and hmac.compare_digest(password, credentials.initiator_password().encode())


def _decrypted(security_credential: str) -> bytes:
    private = serialization.load_pem_private_key(_key()[0].encode(), password=None)
    assert isinstance(private, rsa.RSAPrivateKey)  # noqa: S101 - made below
    try:
        return private.decrypt(base64.b64decode(security_credential, validate=True), PKCS1v15())
    except (ValueError, binascii.Error):
        return b""


def _key() -> tuple[str, str]:
    """Return private key and certificate as PEM; the first to ask makes them, for as long as the record lives."""
    with record.reading() as db:
        row = record.first(db, "SELECT private, certificate FROM keys WHERE name = ?", [_NAME])
    if row:
        return row["private"], row["certificate"]
    private, made = _make()
    with record.writing() as db:
        db.execute("INSERT OR IGNORE INTO keys (name, private, certificate) VALUES (?, ?, ?)", [_NAME, private, made])
    return _key()


def _make() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulator")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), made.public_bytes(serialization.Encoding.PEM).decode()
