"""The SecurityCredential: the API operator's password, encrypted so that only M-PESA can read it.

RSA with PKCS#1 v1.5 padding and the environment's certificate, as base64 (Daraja's portal, page Reversals).
"""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.conf import settings

from payments.daraja import transport
from payments.daraja.errors import DarajaRefused
from payments.models import Reason

_PEM = b"-----BEGIN CERTIFICATE-----"
SIMULATORS_CERTIFICATE = "/certificate.cer"  # below the simulator's base URL


def is_set_up() -> bool:
    """Return whether the shop has an API operator, without whom nothing can be reversed or asked about."""
    has_certificate = settings.SIMULATOR or settings.MPESA_CERTIFICATE_FILE
    return bool(settings.MPESA_INITIATOR_NAME and settings.MPESA_INITIATOR_PASSWORD and has_certificate)


def security_credential() -> str:
    """Return the operator's password for M-PESA's eyes only; it differs each time, for the padding is random.

    Raises DarajaRefused when something of it is missing or unreadable: nothing was sent, no money moved.
    """
    if not is_set_up():
        raise _refused("MPESA_INITIATOR_NAME, MPESA_INITIATOR_PASSWORD or MPESA_CERTIFICATE_FILE is missing")
    encrypted = _public_key().encrypt(settings.MPESA_INITIATOR_PASSWORD.encode(), PKCS1v15())
    return base64.b64encode(encrypted).decode()


def _public_key() -> RSAPublicKey:
    try:
        key = _parse(_certificate()).public_key()
    except (OSError, ValueError) as error:
        raise _refused(f"MPESA_CERTIFICATE_FILE cannot be read: {type(error).__name__}") from error
    if not isinstance(key, RSAPublicKey):
        raise _refused("MPESA_CERTIFICATE_FILE holds no RSA key")
    return key


def _certificate() -> bytes:
    if settings.MPESA_CERTIFICATE_FILE:
        return Path(settings.MPESA_CERTIFICATE_FILE).read_bytes()
    return transport.get(f"{settings.DARAJA_BASE_URL}{SIMULATORS_CERTIFICATE}").body


def _parse(certificate: bytes) -> x509.Certificate:
    """Read PEM or DER; Safaricom hands out both under the name .cer."""
    if _PEM in certificate:
        return x509.load_pem_x509_certificate(certificate)
    return x509.load_der_x509_certificate(certificate)


def _refused(message: str) -> DarajaRefused:
    return DarajaRefused("", f"Not sent: {message}", Reason.OUR_FAULT)
