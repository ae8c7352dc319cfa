"""The other settings, tokens and customers become checked values, and a client checks them."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from conftest import TOKEN, Kind, for_both_clients, key, pem
from good_settings import CUSTOMER, PASSPHRASE, SANDBOX, environ
from wonder_payment import (
    AsyncWonderClient,
    ConfigurationError,
    InvalidTokenError,
    RetryPolicy,
    WonderClient,
    WonderError,
)
from wonder_payment.config import (
    LANGUAGES,
    checked_app_id,
    checked_choice,
    checked_customer,
    checked_transport,
    checked_uuid,
    settings_from,
)

# The other settings


@pytest.mark.parametrize("app_id", ["app", "d900da8b-6e16-4a85-8a66-05d29ac53f24", "a.b_c:d!~", "0"])
@pytest.mark.parametrize("form", ["{}", '"{}"', "'{}'", "{}\n", "{}\r\n", "\t{} ", "\ufeff{}", "'\"{}\"'\n"], ids=ascii)
def test_an_app_id_is_visible_ascii_without_whitespace_and_quotes_around_it(app_id: str, form: str) -> None:
    assert checked_app_id(form.format(app_id)) == app_id
    assert settings_from(environ(WONDER_APP_ID=form.format(app_id)), {})["app_id"] == app_id


@pytest.mark.parametrize(
    "app_id",
    ["", " ", '""', "a b", "app/", "a/b", "app\r\nX-Evil: 1", "äpp", "應用", "app\0", "\x7f", None, 5, b"app"],
)
def test_an_app_id_that_the_header_cannot_hold_is_an_error(app_id: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^app_id= must be"):
        checked_app_id(app_id)


@pytest.mark.parametrize("language", [None, "en", "zh-HK", "zh-CN"])
def test_a_language_is_one_of_the_gateways(language: str | None) -> None:
    assert checked_choice(language, "language=", LANGUAGES) == language


@pytest.mark.parametrize("language", ["", "EN", "zh", "zh_HK", "de", "en\r\nX-Evil: 1", 5, True, b"en", ["en"]])
def test_any_other_language_is_an_error(language: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^language= must be one of en, zh-HK, zh-CN, not "):
        checked_choice(language, "language=", LANGUAGES)


@pytest.mark.parametrize("base", [httpx.BaseTransport, httpx.AsyncBaseTransport], ids=lambda base: base.__name__)
@pytest.mark.parametrize("transport", [httpx.Client(), "direct", "", 0, httpx.BaseTransport, httpx.AsyncHTTPTransport])
def test_a_transport_of_the_wrong_kind_is_an_error(base: type, transport: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"transport= must be an httpx\.{base.__name__}, 'fast' or None"):
        checked_transport(transport, base)


@for_both_clients
def test_a_transport_of_the_other_client_is_an_error(kind: Kind) -> None:
    transport: Any = httpx.HTTPTransport() if kind is AsyncWonderClient else httpx.AsyncHTTPTransport()
    with pytest.raises(ConfigurationError, match="transport= must be an httpx"):
        kind("app", key(), environment="sandbox", transport=transport)


# Tokens and customers


@pytest.mark.parametrize("value", [TOKEN, TOKEN.upper(), UUID(TOKEN)], ids=["text", "upper case", "UUID"])
def test_a_token_is_a_uuid_as_text_or_object(value: str | UUID) -> None:
    assert checked_uuid("token", value) == UUID(TOKEN)


@pytest.mark.parametrize(
    ("customer", "sent"),
    [
        *((None, None), ("uuid", None)),
        *((CUSTOMER, CUSTOMER), (CUSTOMER.upper(), CUSTOMER), (UUID(CUSTOMER), CUSTOMER)),
    ],
)
def test_a_customer_is_a_uuid_or_none(customer: Any, sent: str | None) -> None:
    assert checked_customer(customer) == sent


NO_UUIDS = [
    *("", "not a uuid", TOKEN[:-1], f"{TOKEN}0", f"{TOKEN}\n", f" {TOKEN}", TOKEN.replace("-", ""), f"{{{TOKEN}}}"),
    *(f"urn:uuid:{TOKEN}", TOKEN.replace("1", "g"), TOKEN.replace("1", "\uff11"), f"{TOKEN}/../.."),
    *("4111 1111 1111 1111", "\ud800", TOKEN.encode(), 411111111111111111, False, [TOKEN]),
]


@pytest.mark.parametrize("value", NO_UUIDS, ids=ascii)
def test_anything_else_is_an_invalid_token_that_is_not_quoted(value: Any) -> None:
    for name, check in {"token": lambda value: checked_uuid("token", value), "customer_uuid": checked_customer}.items():
        with pytest.raises(InvalidTokenError, match=f"^{name} must be a UUID") as caught:
            check(value)
        assert isinstance(caught.value, ValueError)
        quoted = str(value).strip()
        assert len(quoted) < 8 or quoted not in str(caught.value)


@pytest.mark.parametrize("value", [None, "uuid"])
def test_a_token_may_not_be_left_out_like_a_customer(value: str | None) -> None:
    with pytest.raises(InvalidTokenError, match="token must be a UUID"):
        checked_uuid("token", value)


# With the clients


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "app_id": ({"app_id": "a/b"}, "app_id= must be"),
    "private_key": ({"private_key": "garbage"}, "private_key= is not a PEM"),
    "passphrase": ({"private_key": pem(PASSPHRASE), "passphrase": "hunter2"}, "passphrase= is wrong"),
    "environment": ({"environment": "live"}, "environment= must be"),
    "base_url": ({"base_url": "http://gateway.example"}, "base_url= must be https://"),
    "language": ({"language": "de"}, "language= must be"),
    "timeout": ({"timeout": -1}, "timeout= must be a number above 0"),
    "retry": ({"retry": RetryPolicy}, "retry= must be a RetryPolicy"),
    "no retry": ({"retry": None}, "retry= must be a RetryPolicy"),
    "on_retry": ({"on_retry": "print"}, "on_retry= must be a plain function"),
    "transport": ({"transport": "direct"}, "transport= must be"),
}


@for_both_clients
@pytest.mark.parametrize(("settings", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_an_error_of_the_client(kind: Kind, settings: dict[str, Any], message: str) -> None:
    good = {"app_id": "app", "private_key": key(), "environment": "sandbox"}
    with pytest.raises(ConfigurationError, match=message) as caught:
        kind(**good | settings)
    error: WonderError = caught.value
    assert (error.attempts, error.request_id) == (0, None)
    assert str(error).endswith("(nothing was sent)")
    assert "hunter2" not in str(error)
    with pytest.raises(ConfigurationError, match=message):
        kind.from_env(environ(WONDER_PRIVATE_KEY=pem()), **settings)


@for_both_clients
def test_the_repr_of_a_client_has_no_key(kind: Kind) -> None:
    client = kind("app", pem(PASSPHRASE), passphrase=PASSPHRASE, environment="sandbox")
    assert repr(client) == str(client) == f"{kind.__name__}(app_id='app', base_url='{SANDBOX}')"


def test_a_closed_client_is_an_error_and_may_be_closed_again() -> None:
    client = WonderClient("app", key(), environment="sandbox")
    for _ in range(2):
        client.close()
    with pytest.raises(ConfigurationError, match="This client is closed"):
        client.check_token(TOKEN)


def test_a_closed_async_client_is_an_error_and_may_be_closed_again() -> None:
    async def close_and_check() -> None:
        async with AsyncWonderClient("app", key(), environment="sandbox") as client:
            pass
        await client.aclose()
        await client.check_token(TOKEN)

    with pytest.raises(ConfigurationError, match="This client is closed"):
        asyncio.run(close_and_check())
