from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.checks import registry as all_checks
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

import redis_layer
from payments import checks
from shop.demo import STAFF_NAME
from tests.factories import make_transaction


def _ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


def test_every_wrong_setting_is_an_error_and_stops_the_server(settings: Any) -> None:
    settings.SETTINGS_PROBLEMS = ["SECRET_KEY is missing.", "MPESA_PASSKEY is missing."]
    assert [message.msg for message in checks.check_settings(None)] == settings.SETTINGS_PROBLEMS
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is missing"):
        checks.refuse_wrong_settings()


def test_a_sound_set_up_has_nothing_to_say(settings: Any) -> None:
    assert checks.check_settings(None) == checks.check_waiting_times(None) == checks.check_redis_timeout(None) == []
    assert checks.check_daraja_urls(None) == []
    checks.refuse_wrong_settings()


@pytest.mark.parametrize(("expire", "found"), [(34, ["papo.W001"]), (35, [])])
def test_expiry_must_leave_time_to_ask(settings: Any, expire: int, found: list[str]) -> None:
    settings.MPESA_QUERY_AFTER_SECONDS, settings.MPESA_EXPIRE_AFTER_SECONDS = 20, expire
    assert _ids(checks.check_waiting_times(None)) == found


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ({"socket_timeout": 5}, ["papo.E002"]),
        ({"socket_timeout": 15}, []),
        ({"socket_timeout": None}, []),
        ({}, ["papo.E002"]),  # redis-py's own default
        ("redis://127.0.0.1:6379/0", ["papo.E002"]),
    ],
)
def test_a_redis_timeout_that_kills_idle_sockets_is_refused(settings: Any, host: Any, found: list[str]) -> None:
    hosts = [{"address": "redis://127.0.0.1", **host} if isinstance(host, dict) else host]
    settings.CHANNEL_LAYERS = {"default": {"CONFIG": {"hosts": hosts}}}
    assert _ids(checks.check_redis_timeout(None)) == found


@pytest.mark.parametrize("kind", redis_layer.BACKENDS)
def test_each_host_of_either_layer_is_bounded_and_tried_again(settings: Any, kind: str) -> None:
    made = redis_layer.layer(kind, ["redis://one", "redis://two"], secret="ours")
    settings.CHANNEL_LAYERS = {"default": made}
    assert checks.check_redis_timeout(None) == []
    hosts = made["CONFIG"]["hosts"]
    assert [host["address"] for host in hosts] == ["redis://one", "redis://two"]
    assert all(host["socket_connect_timeout"] == 2 and host["retry"].get_retries() == 3 for host in hosts)
    other = redis_layer.layer(kind, ["redis://one"], secret="theirs")
    assert made["CONFIG"]["prefix"] != other["CONFIG"]["prefix"]


REDIS, MEMORY = "channels_redis.pubsub.RedisPubSubChannelLayer", "channels.layers.InMemoryChannelLayer"


@pytest.mark.parametrize(
    ("workers", "layer", "found"),
    [("4", MEMORY, ["papo.W002"]), ("1", MEMORY, []), ("", MEMORY, []), ("many", MEMORY, []), ("4", REDIS, [])],
)
def test_several_workers_that_cannot_hear_each_other_are_told(
    settings: Any, monkeypatch: pytest.MonkeyPatch, workers: str, layer: str, found: list[str]
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", workers)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": layer}}
    assert _ids(checks.check_workers(None)) == found


def test_every_check_is_asked_by_django(settings: Any) -> None:
    """Tested by calling them, they would pass unregistered too."""
    known = {check.__name__ for check in all_checks.registry.get_checks(include_deployment_checks=True)}
    ours = {name for name in vars(checks) if name.startswith("check_")}
    assert len(ours) == 7
    assert ours <= known


def test_routes_that_move_real_money_on_a_get_are_refused(settings: Any) -> None:
    settings.ROOT_URLCONF = "django_daraja.urls"
    assert _ids(checks.check_daraja_urls(None)) == ["papo.E003"]


PRODUCTION = {
    "SIMULATOR": False,
    "MPESA_ENVIRONMENT": "production",
    "PUBLIC_BASE_URL": "https://shop.example",
    "ALLOWED_HOSTS": ["shop.example"],
    "MPESA_PASSKEY": "a-passkey-of-our-own",
    "MPESA_CERTIFICATE_FILE": "production.cer",
    "C2B_PATH_SECRETS": ["c" * 40],
    "TRUSTED_PROXIES": ("10.0.0.1",),
}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"PUBLIC_BASE_URL": "http://shop.example", "TRUSTED_PROXIES": ()}, ["papo.E010"]),
        ({"PUBLIC_BASE_URL": "https://mpesa.example"}, ["papo.W010"]),
        ({"TRUSTED_PROXIES": ()}, ["papo.W011"]),
        ({"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}, ["papo.W012"]),
        ({"MPESA_INITIATOR_NAME": ""}, ["papo.W013"]),
        ({"MPESA_CERTIFICATE_FILE": ""}, ["papo.W015"]),
        ({"C2B_PATH_SECRETS": ["k" * 40], "CALLBACK_SECRETS": ["k" * 40]}, ["papo.W014"]),
        ({"ALLOWED_HOSTS": ["*"]}, ["papo.E011"]),
        ({"CALLBACK_SECRETS": ["n" * 40, "s" * 40], "SECRET_KEY": "s" * 40}, ["papo.E013"]),
        ({"MPESA_SHORTCODE": "1234"}, ["papo.W017"]),
        ({"MPESA_TILL_NUMBER": "1234"}, ["papo.W017"]),
        ({"MPESA_PASSKEY": checks.SANDBOX_PASSKEY_START + "0" * 32}, ["papo.E012"]),
    ],
)
def test_what_must_not_be_in_production(settings: Any, changes: dict[str, Any], found: list[str]) -> None:
    for name, value in {**PRODUCTION, **changes}.items():
        setattr(settings, name, value)
    assert _ids(checks.check_production(None)) == found


@pytest.mark.django_db
def test_simulated_money_outside_the_simulator_is_told(settings: Any) -> None:
    settings.SIMULATOR, settings.MPESA_ENVIRONMENT = False, "production"
    assert checks.check_database(None, databases=["default"]) == []
    make_transaction(environment="simulator")
    assert _ids(checks.check_database(None, databases=["default"])) == ["papo.W020"]


@pytest.mark.django_db
def test_a_demo_user_outside_the_simulator_is_told(settings: Any) -> None:
    settings.SIMULATOR, settings.MPESA_ENVIRONMENT = False, "production"
    assert run_checks(tags=["database"], databases=["default"]) == []
    User.objects.create_user(STAFF_NAME, is_active=True)
    assert _ids(run_checks(tags=["database"], databases=["default"])) == ["papo.E021"]


@pytest.mark.parametrize(("environment", "found"), [("simulator", "papo.W016"), ("production", "papo.E010")])
def test_plain_http_is_told_once_and_by_the_name_of_its_setting(settings: Any, environment: str, found: str) -> None:
    settings.PUBLIC_BASE_URL, settings.MPESA_ENVIRONMENT = "http://192.168.1.4", environment
    told = [
        message
        for message in run_checks(tags=["security"], include_deployment_checks=True)
        if not message.is_silenced()
    ]
    about_https = [message for message in told if "PUBLIC_BASE_URL" in message.msg]
    assert (_ids(about_https), "HSTS" in about_https[0].msg) == ([found], True)
    assert not [each for each in _ids(told) if each.startswith("security.")]
