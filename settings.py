"""Papo's settings, read from the environment once; `.env.example` explains every variable.

A bad or missing value does not raise here: it is one sentence in SETTINGS_PROBLEMS, shown by `manage.py check`,
and neither the server nor a command starts while there are any.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from email.utils import formataddr
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

import logs
import redis_layer
import reporting
import sqlite_turns
from environment import MINIMUM_SECRET_LENGTH, Environment, example_values, is_origin, is_private_origin

BASE_DIR = Path(__file__).resolve().parent
env = Environment(Path(os.environ.get("ENV_FILE") or BASE_DIR / ".env"))
SETTINGS_PROBLEMS = env.problems

# Where the shop stands ------------------------------------------------------------------------------------------

MPESA_ENVIRONMENT = env.choice("MPESA_ENVIRONMENT", ("simulator", "sandbox", "production"))
SIMULATOR = MPESA_ENVIRONMENT == "simulator"
DEBUG = env.flag("DEBUG")
PORT = env.number("PORT", 8000, most=65535)
HOST = env.text("HOST", "127.0.0.1")
PUBLIC_BASE_URL = env.text("PUBLIC_BASE_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
if not is_origin(PUBLIC_BASE_URL):
    SETTINGS_PROBLEMS.append("PUBLIC_BASE_URL must be an origin such as https://shop.example, with no path.")
    PUBLIC_BASE_URL = f"http://127.0.0.1:{PORT}"
SIMULATOR_PUBLIC = env.flag("SIMULATOR_PUBLIC")
if SIMULATOR and not SIMULATOR_PUBLIC and not is_private_origin(PUBLIC_BASE_URL):
    SETTINGS_PROBLEMS.append(
        "PUBLIC_BASE_URL is a public address, where MPESA_ENVIRONMENT=simulator would give goods away; "
        "set SIMULATOR_PUBLIC=1 if that is meant."
    )
_public = urlsplit(PUBLIC_BASE_URL)
_is_https = _public.scheme == "https"
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS") or [_public.hostname or "127.0.0.1", *LOOPBACK_HOSTS]
if SIMULATOR:
    ALLOWED_HOSTS += LOOPBACK_HOSTS  # the shop calls its own simulator there
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS")
for _origin in CSRF_TRUSTED_ORIGINS:
    if not is_origin(_origin):
        SETTINGS_PROBLEMS.append(
            f"CSRF_TRUSTED_ORIGINS must hold origins such as https://shop.example, not {_origin!r}."
        )
CSRF_TRUSTED_ORIGINS = [origin for origin in CSRF_TRUSTED_ORIGINS if is_origin(origin)]
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")

SHOP_NAME = env.text("SHOP_NAME", "Duka Papo")
SHOP_CONTACT = env.text("SHOP_CONTACT", "0700 000 000")

# Secrets --------------------------------------------------------------------------------------------------------

if SIMULATOR:
    env.generate_missing_secrets("SECRET_KEY", "CALLBACK_SECRET")
SECRET_KEY = env.text("SECRET_KEY")
CALLBACK_SECRETS = env.list("CALLBACK_SECRET")
_shown = example_values(BASE_DIR / ".env.example")
for _name, _values in (("SECRET_KEY", [SECRET_KEY]), ("CALLBACK_SECRET", CALLBACK_SECRETS or [""])):
    if not all(_values):
        SETTINGS_PROBLEMS.append(f"{_name} is missing.")
    elif any(len(value) < MINIMUM_SECRET_LENGTH for value in _values):
        SETTINGS_PROBLEMS.append(f"{_name} must have at least {MINIMUM_SECRET_LENGTH} characters.")
    elif any(value in _shown for value in _values):
        SETTINGS_PROBLEMS.append(f"{_name} is a value of .env.example; make one of your own.")
if len(CALLBACK_SECRETS) > 2:
    SETTINGS_PROBLEMS.append("CALLBACK_SECRET holds at most two keys: the new one, then the old one while rotating.")
C2B_PATH_SECRETS = env.list("C2B_PATH_SECRET") or CALLBACK_SECRETS
if any(len(value) < MINIMUM_SECRET_LENGTH or value in _shown for value in env.list("C2B_PATH_SECRET")):
    SETTINGS_PROBLEMS.append(f"C2B_PATH_SECRET must have at least {MINIMUM_SECRET_LENGTH} characters of your own.")
if len(C2B_PATH_SECRETS) > 2:
    SETTINGS_PROBLEMS.append("C2B_PATH_SECRET holds at most two keys: the new one, then the old one while rotating.")
DEMO_HISTORY = env.flag("DEMO_HISTORY", default=True)
METRICS_TOKEN = env.text("METRICS_TOKEN")

# M-PESA ---------------------------------------------------------------------------------------------------------


def _simulator_credential(name: str) -> str:
    """Return the simulator's own value for a credential: derived, so that none is written down anywhere."""
    return hmac.new(SECRET_KEY.encode(), f"simulator {name}".encode(), hashlib.sha256).hexdigest()[:40]


DARAJA_BASE_URL = env.text(
    "DARAJA_BASE_URL",
    {
        "simulator": f"http://127.0.0.1:{PORT}/simulator",
        "sandbox": "https://sandbox.safaricom.co.ke",
        "production": "https://api.safaricom.co.ke",
    }[MPESA_ENVIRONMENT],
).rstrip("/")
if urlsplit(DARAJA_BASE_URL).scheme not in {"http", "https"} or not urlsplit(DARAJA_BASE_URL).hostname:
    SETTINGS_PROBLEMS.append("DARAJA_BASE_URL must begin with http:// or https:// and name a host.")
MPESA_CONSUMER_KEY = env.text("MPESA_CONSUMER_KEY", _simulator_credential("key") if SIMULATOR else "")
MPESA_CONSUMER_SECRET = env.text("MPESA_CONSUMER_SECRET", _simulator_credential("secret") if SIMULATOR else "")
MPESA_PASSKEY = env.text("MPESA_PASSKEY", _simulator_credential("passkey") if SIMULATOR else "")
MPESA_SHORTCODE = env.text("MPESA_SHORTCODE", "174379" if SIMULATOR else "")
MPESA_EXPRESS_SHORTCODE = MPESA_SHORTCODE  # django-daraja reads this name when the environment is the sandbox
MPESA_TILL_NUMBER = env.text("MPESA_TILL_NUMBER")
for _name in ("MPESA_CONSUMER_KEY", "MPESA_CONSUMER_SECRET", "MPESA_SHORTCODE", "MPESA_PASSKEY"):
    if not globals()[_name]:
        SETTINGS_PROBLEMS.append(f"{_name} is missing.")
# The API operator: without one nothing can be reversed or asked about, and all else works.
MPESA_INITIATOR_NAME = env.text("MPESA_INITIATOR_NAME", "papo" if SIMULATOR else "")
MPESA_INITIATOR_PASSWORD = env.text("MPESA_INITIATOR_PASSWORD", _simulator_credential("operator") if SIMULATOR else "")
MPESA_CERTIFICATE_FILE = env.text("MPESA_CERTIFICATE_FILE")
BOOKS_EMAIL = env.list("BOOKS_EMAIL")
REFUND_SECOND_PERSON_ABOVE = env.number("REFUND_SECOND_PERSON_ABOVE", 10_000, least=0)
MPESA_RESULT_WITHIN_SECONDS = env.number("MPESA_RESULT_WITHIN_SECONDS", 60, most=3600)
LONGEST_SHORT_CODE = 7  # digits, as Daraja's query takes them and the database keeps them
for _name in ("MPESA_SHORTCODE", "MPESA_TILL_NUMBER"):
    _digits = globals()[_name]
    if _digits and not (_digits.isascii() and _digits.isdigit() and len(_digits) <= LONGEST_SHORT_CODE):
        SETTINGS_PROBLEMS.append(f"{_name} must be digits and nothing else, {LONGEST_SHORT_CODE} at most.")
MPESA_QUERY_AFTER_SECONDS = env.number("MPESA_QUERY_AFTER_SECONDS", 20, most=3600)
MPESA_EXPIRE_AFTER_SECONDS = env.number("MPESA_EXPIRE_AFTER_SECONDS", 180, most=86400)
MPESA_QUERIES_PER_MINUTE = env.number(
    "MPESA_QUERIES_PER_MINUTE", {"simulator": 6000, "sandbox": 5, "production": 60}[MPESA_ENVIRONMENT], most=60000
)
MPESA_CALLBACK_IPS = env.networks("MPESA_CALLBACK_IPS")
DARAJA_TIMEOUT_SECONDS = env.number("DARAJA_TIMEOUT_SECONDS", 10, most=120)
DARAJA_CONNECT_TIMEOUT_SECONDS = 3
C2B_TRUST_BELOW = env.number("C2B_TRUST_BELOW", 0, least=0, most=250_000)
CALLBACK_SPOOL_DIR = BASE_DIR / env.text("CALLBACK_SPOOL_DIR", "var/spool")
PUSHES_PER_SECOND = env.number("PUSHES_PER_SECOND", 20, most=1000)
RATE_LIMITS = env.choice("RATE_LIMITS", ("on", "off")) == "on"
if not RATE_LIMITS and not SIMULATOR:
    SETTINGS_PROBLEMS.append("RATE_LIMITS=off is only for load runs with MPESA_ENVIRONMENT=simulator.")

# Applications ---------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "axes",
    "payments.daraja.apps.DarajaConfig",
    "shop",
    "payments",
    "realtime",
    *(["simulator"] if SIMULATOR else []),
]
MIDDLEWARE = [
    "middleware.security_headers",
    "django.middleware.security.SecurityMiddleware",
    "middleware.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "middleware.refuse_nul",  # in words, so behind the languages; nothing above it reads the database
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "urls"
ASGI_APPLICATION = "asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.context_processors.shop",
                "payments.context_processors.recent",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Storage --------------------------------------------------------------------------------------------------------

DATABASES: dict[str, Any] = {"default": env.parsed("DATABASE_URL", "sqlite:///db.sqlite3", environ.Env.db_url_config)}
_database = DATABASES["default"]
_engine = _database.get("ENGINE", "")  # none at all for a URL without a scheme
if _engine.endswith("sqlite3"):
    _database["NAME"] = str(BASE_DIR / _database["NAME"])
    _database["OPTIONS"] = {
        # DEFERRED transactions that read and then write fail at once with "database is locked".
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "factory": sqlite_turns.Connection,
        # WAL with synchronous=NORMAL may lose the last commits at a power cut: a payment.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;",
    }
elif _engine.endswith("postgresql"):
    # Under ASGI each request runs in a thread of its own, so CONN_MAX_AGE keeps nothing; the pool does.
    _database["CONN_HEALTH_CHECKS"] = True
    _database["OPTIONS"] = {
        **_database.get("OPTIONS", {}),
        # Eight of them stay with the threads that take callbacks and read for sockets. The pool's pauses between
        # attempts to reconnect double for as long as it goes on: soon given up, the next caller begins anew. It gives
        # back one connection each time that it has not needed all of them for `max_idle`, whose default is 600.
        "pool": {"min_size": 2, "max_size": 24, "timeout": 3, "reconnect_timeout": 2, "max_idle": 30},
        "connect_timeout": 3,
        "prepare_threshold": 0,  # for direct.py alone: what Django's own cursors run cannot be prepared
        "options": "-c lock_timeout=5s -c statement_timeout=15s -c idle_in_transaction_session_timeout=30s",
    }
else:
    SETTINGS_PROBLEMS.append("DATABASE_URL must begin with sqlite:/// or postgres://.")
    # Django imports the driver before anybody can show the problems, and that one is not installed.
    DATABASES["default"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}

REDIS_URLS = env.list("REDIS_URL")
for _url in REDIS_URLS:
    if urlsplit(_url).scheme not in {"redis", "rediss", "unix"}:
        SETTINGS_PROBLEMS.append("REDIS_URL must begin with redis://, rediss:// or unix://.")
REDIS_LAYER = env.choice("REDIS_LAYER", ("pubsub", "queue"))
CHANNEL_LAYERS: dict[str, Any] = {
    "default": redis_layer.layer(REDIS_LAYER, REDIS_URLS, secret=SECRET_KEY)
    if REDIS_URLS
    else {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": redis_layer.CAPACITY}}
}

# E-mail ---------------------------------------------------------------------------------------------------------

globals().update(env.parsed("EMAIL_URL", "consolemail://", environ.Env.email_url_config))
EMAIL_TIMEOUT = 10  # seconds for each step of a conversation with the mail server
ORDER_EMAILS = env.addresses("ORDER_EMAILS")
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", formataddr((SHOP_NAME, f"receipts@{_public.hostname}")))
ALERT_EMAILS = env.list("ALERT_EMAILS")

# Language and time ----------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("sw", "Kiswahili")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "Africa/Nairobi"
USE_I18N = True
# Swahili has no formats of its own in Django, so these are; money is grouped in both languages.
NUMBER_GROUPING = 3
DATE_FORMAT, TIME_FORMAT, DATETIME_FORMAT = "j M Y", "H:i", "j M Y, H:i"
USE_TZ = True

# Static files ---------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False

# Security -------------------------------------------------------------------------------------------------------

_sockets = f"{'wss' if _is_https else 'ws'}://{_public.netloc}"
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "connect-src": ["'self'", _sockets],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
}
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _is_https
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = _is_https
SECURE_SSL_HOST = _public.netloc if _is_https else None
# Safaricom and health probes are never redirected.
SECURE_REDIRECT_EXEMPT = [r"^payments/(callback|c2b)/", r"^mpesa/", r"^(healthz|readyz|metrics)/?$"]
SECURE_REDIRECT_EXEMPT += [
    r"^simulator/(oauth|mpesa|pulltransactions)/",
    r"^simulator/certificate.cer$",
]  # the shop calls its own simulator past the proxy
SECURE_HSTS_SECONDS = 31_536_000 if _is_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _is_https
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = ["security.W002"]  # the header is set by middleware.security_headers
if not _is_https:  # HSTS, redirect and cookies: papo.W016 says once that they wait for an https PUBLIC_BASE_URL
    SILENCED_SYSTEM_CHECKS += [f"security.W{number}" for number in ("004", "008", "012", "016")]
CSRF_FAILURE_VIEW = "pages.form_refused"
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024  # bytes
DATA_UPLOAD_MAX_NUMBER_FIELDS = 300
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["passwords.PatientHasher"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "middleware.caller_who_logs_in"  # the proxies are already resolved in asgi.py
AXES_LOCKOUT_CALLABLE = "pages.locked_out"  # its own answer has a CORS header, and no Retry-After
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Logs -----------------------------------------------------------------------------------------------------------

LOG_FORMAT = env.choice("LOG_FORMAT", ("console", "json"))
LOGGING_CONFIG = None
logs.configure(json=LOG_FORMAT == "json")
SENTRY_DSN = env.text("SENTRY_DSN")
if SENTRY_DSN:
    try:
        reporting.report_errors_to(SENTRY_DSN, environment=MPESA_ENVIRONMENT)
    except ValueError:
        SETTINGS_PROBLEMS.append("SENTRY_DSN is not an address that Sentry gives.")
