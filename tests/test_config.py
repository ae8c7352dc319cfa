"""The settings of both clients, from arguments and from the environment, and the arguments of a check."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from conftest import TOKEN, Kind, for_both_clients, key, pem
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from wonder_payment import (
    AsyncWonderClient,
    ConfigurationError,
    Environment,
    InvalidTokenError,
    PaymentToken,
    RetryPolicy,
    WonderClient,
    WonderError,
)
from wonder_payment.signing import verify

SANDBOX = "https://gateway-stg.wonder.today"
PRODUCTION = "https://gateway.wonder.today"

CUSTOMER = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"
PASSPHRASE = "correct horse"

Client = WonderClient | AsyncWonderClient


@cache
def other_pem() -> str:
    other = generate_private_key(65537, 2048)
    return other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def made(kind: Kind, **settings: Any) -> Client:
    return kind(**{"app_id": "app", "private_key": key(), "environment": "sandbox", **settings})


def check(client: Client, token: Any = TOKEN, **options: Any) -> PaymentToken:
    """Check a token with a client of either kind, and close it."""
    if isinstance(client, WonderClient):
        with client:
            return client.check_token(token, **options)

    async def check_async() -> PaymentToken:
        async with client:
            return await client.check_token(token, **options)

    return asyncio.run(check_async())


ANSWER = {
    "code": 0,
    "message": "",
    "data": {"payment_token": {"token_type": "CreditCard", "token": TOKEN, "state": "success", "default": True}},
}


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes from the wire, as httpx's own transports give it."""

    def __iter__(self) -> Iterator[bytes]:
        yield json.dumps(ANSWER).encode()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield json.dumps(ANSWER).encode()


def wire(client_with: Callable[[httpx.MockTransport], Client], **options: Any) -> httpx.Request:
    """Return the request that a check with this client sends."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, stream=Body())

    assert check(client_with(httpx.MockTransport(answer)), **options).is_verified
    (request,) = requests
    return request


def wire_of(kind: Kind, **settings: Any) -> httpx.Request:
    return wire(lambda transport: made(kind, transport=transport, **settings))


def wire_from(kind: Kind, environ: dict[str, str], **overrides: Any) -> httpx.Request:
    return wire(lambda transport: kind.from_env(environ, transport=transport, **overrides))


def origin(request: httpx.Request) -> str:
    return str(request.url.copy_with(path="/")).rstrip("/")


def app_id(request: httpx.Request) -> str:
    return str(request.headers["Credential"].split("/")[0])


def is_signed(request: httpx.Request) -> bool:
    return verify(
        key().public_key(),
        request.headers["Signature"],
        credential=request.headers["Credential"],
        nonce=request.headers["Nonce"],
        method=request.method,
        uri=request.url.raw_path.decode(),
        body=request.content,
    )


def is_never_sent(_request: httpx.Request) -> httpx.Response:
    pytest.fail("something was sent")


NOTHING_IS_SENT = httpx.MockTransport(is_never_sent)


def chain(error: BaseException | None) -> str:
    """Return what a log of the error can show, the errors behind it included."""
    texts: list[str] = []
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


# The gateway to talk to


@for_both_clients
@pytest.mark.parametrize(
    ("environment", "base_url", "wanted"),
    [
        ("sandbox", None, SANDBOX),
        ("production", None, PRODUCTION),
        (Environment.SANDBOX, None, SANDBOX),
        (Environment.PRODUCTION, None, PRODUCTION),
        ("production", "https://gateway.example", "https://gateway.example"),
        (Environment.SANDBOX, "https://gateway.example", "https://gateway.example"),
        (None, "https://gateway.example", "https://gateway.example"),
        (None, "https://gateway.example/", "https://gateway.example"),
        (None, "HTTPS://Gateway.Example", "https://gateway.example"),
        (None, "https://gateway.example:443", "https://gateway.example"),
        (None, "https://gateway.example:8443", "https://gateway.example:8443"),
        (None, "https://10.0.0.1", "https://10.0.0.1"),
        (None, "https://localhost:8443", "https://localhost:8443"),
        (None, "http://localhost", "http://localhost"),
        (None, "http://LOCALHOST:8000", "http://localhost:8000"),
        (None, "http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        (None, "http://127.0.0.5", "http://127.0.0.5"),
        (None, "http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_check_goes_to_the_gateway_of_the_settings(
    kind: Kind, environment: Any, base_url: str | None, wanted: str
) -> None:
    request = wire_of(kind, environment=environment, base_url=base_url)
    assert origin(request) == wanted
    assert request.url.raw_path == b"/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check"
    assert is_signed(request)


@for_both_clients
@pytest.mark.parametrize("environment", [None, "", "Sandbox", "PRODUCTION", " sandbox", "staging", "live", True, 1, []])
def test_an_environment_that_is_none_is_refused(kind: Kind, environment: Any) -> None:
    with pytest.raises(ConfigurationError, match="environment must be sandbox or production: there is no default"):
        made(kind, environment=environment)


@for_both_clients
@pytest.mark.parametrize("environment", ["", "staging", True, 1])
def test_a_base_url_does_not_excuse_a_wrong_environment(kind: Kind, environment: Any) -> None:
    with pytest.raises(ConfigurationError, match="environment must be sandbox or production"):
        made(kind, environment=environment, base_url="https://gateway.example")


@for_both_clients
def test_there_is_no_silent_default_for_the_environment(kind: Kind) -> None:
    settings: dict[str, Any] = {"app_id": "app", "private_key": key(), "base_url": "https://gateway.example"}
    with pytest.raises(TypeError, match="environment"):
        kind(**settings)


@pytest.mark.parametrize(("environment", "wanted"), [("sandbox", SANDBOX), ("production", PRODUCTION)])
def test_an_environment_has_its_gateways_base_url(environment: str, wanted: str) -> None:
    assert Environment(environment).base_url == wanted


@for_both_clients
@pytest.mark.parametrize(
    "base_url",
    [
        "http://gateway.example",
        "http://gateway.wonder.today:443",
        "http://10.0.0.1",
        "http://192.168.0.1:8000",
        "http://0.0.0.0:8000",
        "http://[::2]",
        "http://localhost.another.example",
        "http://127.0.0.1.another.example",
        "http://notlocalhost",
        "ftp://gateway.example",
        "wss://gateway.example",
        "file:///etc/hosts",
        "https://",
        "https:///",
        "//gateway.example",
        "gateway.example",
        "gateway.example:443",
        "localhost:8000",
        "/",
        "",
    ],
)
def test_a_base_url_that_is_not_https_is_refused_unless_its_host_is_loopback(kind: Kind, base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        made(kind, base_url=base_url)


@for_both_clients
@pytest.mark.parametrize(
    "base_url",
    [
        "https://user@gateway.example",
        "https://user:hunter2@gateway.example",
        "http://localhost@another.example",
        "https://gateway.wonder.today@another.example",
        "https://gateway.example?a=hunter2",
        "https://gateway.example/?a=hunter2",
        "https://gateway.example?",
        "https://gateway.example/?",
        "https://gateway.example#hunter2",
        "https://gateway.example#",
        "https://gateway.example/svc",
        "https://gateway.example/svc/",
        "https://gateway.example//",
        "https://gateway.example/%2e",
        "https://gateway.example\\@another.example",
    ],
)
def test_a_base_url_is_refused_when_it_is_more_than_scheme_host_and_port(kind: Kind, base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        made(kind, base_url=base_url)
    assert "hunter2" not in chain(caught.value)


@for_both_clients
@pytest.mark.parametrize(
    "base_url",
    [
        "https://gateway.example\r\nX-Evil: 1",
        "https://gateway.example\n",
        "https://gateway\0.example",
        " https://gateway.example",
        "https://gate way.example",
        "https://gateway.example:https",
        "https://gateway.example:-1",
        "https://gateway.example:99999",
        "https://[::1",
        "https://[nonsense]",
        "https://" + "a" * 70_000,
        "https://\ud800",
        "nonsense",
        b"https://gateway.example",
        5,
        True,
        ["https://gateway.example"],
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_base_url_that_is_no_url_is_refused(kind: Kind, base_url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        made(kind, base_url=base_url)


# The other settings


@for_both_clients
@pytest.mark.parametrize("given", ["app", "d900da8b-6e16-4a85-8a66-05d29ac53f24", "a.b_c:d!~", "0"])
def test_the_app_id_stands_in_the_credential(kind: Kind, given: str) -> None:
    assert app_id(wire_of(kind, app_id=given)) == given


@for_both_clients
@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "a b",
        "app/",
        "a/b",
        "app\r\nX-Evil: 1",
        "app\n",
        "\tapp",
        "äpp",
        "應用",
        "app\0",
        "\x7f",
        None,
        5,
        b"app",
    ],
)
def test_an_app_id_that_cannot_stand_in_a_header_is_refused(kind: Kind, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="app_id must be"):
        made(kind, app_id=given)


@for_both_clients
@pytest.mark.parametrize("language", [None, "en", "zh-HK", "zh-CN"])
def test_the_language_is_asked_for_in_its_header_and_only_if_set(kind: Kind, language: str | None) -> None:
    assert wire_of(kind, language=language).headers.get("x-i18n-lang") == language


@for_both_clients
@pytest.mark.parametrize("language", ["", "EN", "zh", "zh_HK", "de", "en\r\nX-Evil: 1", 5, True, b"en", ["en"]])
def test_a_language_that_the_gateway_does_not_have_is_refused(kind: Kind, language: Any) -> None:
    with pytest.raises(ConfigurationError, match="language must be one of en, zh-HK, zh-CN"):
        made(kind, language=language)


@for_both_clients
@pytest.mark.parametrize("timeout", [0.001, 1, 10.0, 3600])
def test_a_timeout_is_any_number_of_seconds_above_0(kind: Kind, timeout: float) -> None:
    made(kind, timeout=timeout)


NO_NUMBERS = [float("nan"), float("inf"), float("-inf"), 10**400, True, False, "10", "", None, [10], 1j]


@for_both_clients
@pytest.mark.parametrize("value", [0, 0.0, -0.0, -1, -0.001, *NO_NUMBERS], ids=lambda value: repr(value)[:10])
def test_any_other_timeout_is_refused(kind: Kind, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout must be"):
        made(kind, timeout=value)


@for_both_clients
@pytest.mark.parametrize("retry", [None, False, 3, "never", {"max_attempts": 3}, RetryPolicy, RetryPolicy.never])
def test_a_retry_that_is_no_policy_is_refused(kind: Kind, retry: Any) -> None:
    with pytest.raises(ConfigurationError, match="retry must be a RetryPolicy"):
        made(kind, retry=retry)


@pytest.mark.parametrize(
    ("kind", "transport"),
    [
        (WonderClient, httpx.AsyncHTTPTransport),
        (WonderClient, httpx.AsyncBaseTransport),
        (AsyncWonderClient, httpx.HTTPTransport),
        (AsyncWonderClient, httpx.BaseTransport),
        *[
            (kind, make)
            for kind in (WonderClient, AsyncWonderClient)
            for make in (httpx.Client, str, int, lambda: httpx.BaseTransport)
        ],
    ],
)
def test_a_transport_of_the_wrong_kind_is_refused(kind: Kind, transport: Callable[[], Any]) -> None:
    wanted = "BaseTransport" if kind is WonderClient else "AsyncBaseTransport, 'aiohttp'"
    with pytest.raises(ConfigurationError, match=rf"transport must be an httpx\.{wanted}, or None"):
        made(kind, transport=transport())


@for_both_clients
def test_a_mock_transport_with_a_ready_made_answer_carries_a_check(kind: Kind) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=ANSWER))
    assert check(made(kind, transport=transport)).is_verified


@for_both_clients
@pytest.mark.parametrize(
    ("given", "passphrase"),
    [
        (pem, None),
        (lambda: pem().encode(), None),
        (lambda: pem(PASSPHRASE), PASSPHRASE),
        (lambda: pem(PASSPHRASE).encode(), PASSPHRASE.encode()),
        (key, None),
    ],
    ids=["str", "bytes", "encrypted str", "encrypted bytes", "loaded"],
)
def test_a_private_key_is_a_pem_or_the_key_itself(kind: Kind, given: Callable[[], Any], passphrase: Any) -> None:
    assert is_signed(wire_of(kind, private_key=given(), passphrase=passphrase))


@for_both_clients
@pytest.mark.parametrize(
    ("given", "passphrase", "told"),
    [
        (lambda: "garbage", None, "is no PEM"),
        (lambda: 5, None, "not int"),
        (lambda: None, None, "not NoneType"),
        (lambda: pem(PASSPHRASE), None, "is encrypted"),
        (lambda: pem(PASSPHRASE), "wrong", "the passphrase is wrong"),
        (pem, PASSPHRASE, "is not encrypted"),
        (lambda: pem(PASSPHRASE), 5, "passphrase must be"),
    ],
)
def test_any_other_private_key_is_refused(kind: Kind, given: Callable[[], Any], passphrase: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        made(kind, private_key=given(), passphrase=passphrase)


@for_both_clients
def test_a_wrong_setting_is_a_wonder_error_of_no_attempt_and_no_request(kind: Kind) -> None:
    with pytest.raises(WonderError, match=r"\(nothing was sent\)$") as caught:
        made(kind, timeout=-1)
    assert (caught.value.attempts, caught.value.request_id) == (0, None)


@for_both_clients
def test_a_client_shows_where_it_talks_to_and_no_key(kind: Kind) -> None:
    client = made(kind, private_key=pem(PASSPHRASE), passphrase=PASSPHRASE)
    assert repr(client) == str(client) == f"{kind.__name__}(app_id='app', base_url='{SANDBOX}')"


# The environment


def environ(**changes: str | None) -> dict[str, str]:
    """Return a complete environment with these changes; None takes a variable away."""
    variables = {"WONDER_APP_ID": "app", "WONDER_PRIVATE_KEY": pem(), "WONDER_ENVIRONMENT": "sandbox", **changes}
    return {name: value for name, value in variables.items() if value is not None}


@for_both_clients
@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, SANDBOX),
        ({"WONDER_ENVIRONMENT": "production"}, PRODUCTION),
        ({"WONDER_BASE_URL": "http://localhost:8000"}, "http://localhost:8000"),
        ({"WONDER_BASE_URL": "http://localhost:8000", "WONDER_ENVIRONMENT": None}, "http://localhost:8000"),
        ({"WONDER_BASE_URL": "http://localhost:8000", "WONDER_ENVIRONMENT": ""}, "http://localhost:8000"),
        ({"WONDER_BASE_URL": ""}, SANDBOX),
        ({"WONDER_LANGUAGE": "", "WONDER_PRIVATE_KEY_FILE": "", "WONDER_PRIVATE_KEY_PASSPHRASE": ""}, SANDBOX),
        ({"WONDER_APP_ID": "app", "PATH": "/bin", "WONDER_TIMEOUT": "nonsense"}, SANDBOX),
    ],
)
def test_a_client_has_its_settings_from_the_environment(
    kind: Kind, changes: dict[str, str | None], wanted: str
) -> None:
    request = wire_from(kind, environ(**changes))
    assert (origin(request), app_id(request), is_signed(request)) == (wanted, "app", True)


@for_both_clients
def test_the_language_comes_from_the_environment(kind: Kind) -> None:
    assert wire_from(kind, environ(WONDER_LANGUAGE="zh-CN")).headers["x-i18n-lang"] == "zh-CN"


@for_both_clients
def test_the_environment_is_the_process_own_unless_another_is_given(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ(WONDER_APP_ID="mine").items():
        monkeypatch.setenv(name, value)
    for name in ("WONDER_PRIVATE_KEY_FILE", "WONDER_PRIVATE_KEY_PASSPHRASE", "WONDER_BASE_URL", "WONDER_LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    assert app_id(wire(lambda transport: kind.from_env(transport=transport))) == "mine"
    with pytest.raises(ConfigurationError, match="WONDER_APP_ID"):
        kind.from_env({})


def test_the_function_check_token_has_its_client_from_the_environment() -> None:
    # In a process of its own: this one may have its client already.
    program = f"import wonder_payment; wonder_payment.check_token({TOKEN!r})"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("WONDER_")}
    run = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ConfigurationError: Set WONDER_APP_ID, WONDER_PRIVATE_KEY " in run.stderr


APP_ID_VARIABLE = "WONDER_APP_ID"
KEY_VARIABLES = "WONDER_PRIVATE_KEY (or WONDER_PRIVATE_KEY_FILE)"
ENVIRONMENT_VARIABLE = "WONDER_ENVIRONMENT (sandbox or production)"


@for_both_clients
@pytest.mark.parametrize("nothing", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (["WONDER_APP_ID"], APP_ID_VARIABLE),
        (["WONDER_PRIVATE_KEY"], KEY_VARIABLES),
        (["WONDER_ENVIRONMENT"], ENVIRONMENT_VARIABLE),
        (["WONDER_APP_ID", "WONDER_ENVIRONMENT"], f"{APP_ID_VARIABLE}, {ENVIRONMENT_VARIABLE}"),
        (
            ["WONDER_APP_ID", "WONDER_PRIVATE_KEY", "WONDER_ENVIRONMENT", "WONDER_PRIVATE_KEY_FILE", "WONDER_BASE_URL"],
            f"{APP_ID_VARIABLE}, {KEY_VARIABLES}, {ENVIRONMENT_VARIABLE}",
        ),
    ],
)
def test_all_variables_that_are_missing_or_empty_are_named_in_one_go(
    kind: Kind, variables: list[str], told: str, nothing: str | None
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind.from_env(environ(**dict.fromkeys(variables, nothing)))
    assert str(caught.value) == f"Set {told} in the environment. (nothing was sent)"


@for_both_clients
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["plain", "encrypted"])
@pytest.mark.parametrize("line_break", ["\n", "\\n", "\r\n"], ids=["line break", "literal", "Windows"])
def test_the_key_may_stand_in_its_variable_with_literal_line_breaks(
    kind: Kind, passphrase: str | None, line_break: str
) -> None:
    variables = environ(
        WONDER_PRIVATE_KEY=pem(passphrase).replace("\n", line_break), WONDER_PRIVATE_KEY_PASSPHRASE=passphrase
    )
    assert is_signed(wire_from(kind, variables))


@for_both_clients
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["plain", "encrypted"])
def test_the_key_may_stand_in_a_file(kind: Kind, passphrase: str | None, tmp_path: Path) -> None:
    file = tmp_path / "key ä.pem"
    file.write_text(pem(passphrase))
    variables = environ(
        WONDER_PRIVATE_KEY=None, WONDER_PRIVATE_KEY_FILE=str(file), WONDER_PRIVATE_KEY_PASSPHRASE=passphrase
    )
    assert is_signed(wire_from(kind, variables))


@for_both_clients
@pytest.mark.parametrize(
    ("passphrase", "given", "told"),
    [
        (None, PASSPHRASE, "is not encrypted"),
        (PASSPHRASE, None, "is encrypted: give its passphrase"),
        (PASSPHRASE, "", "is encrypted: give its passphrase"),
        (PASSPHRASE, "hunter2", "the passphrase is wrong"),
    ],
)
def test_a_passphrase_that_does_not_fit_is_refused(
    kind: Kind, passphrase: str | None, given: str | None, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        kind.from_env(environ(WONDER_PRIVATE_KEY=pem(passphrase), WONDER_PRIVATE_KEY_PASSPHRASE=given))
    assert not re.search(f"hunter2|{PASSPHRASE}", chain(caught.value))


@for_both_clients
def test_the_key_and_its_file_are_not_both_taken(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="WONDER_PRIVATE_KEY or WONDER_PRIVATE_KEY_FILE, not both"):
        kind.from_env(environ(WONDER_PRIVATE_KEY_FILE=str(tmp_path / "key.pem")))


@for_both_clients
@pytest.mark.parametrize("name", ["missing.pem", "", "\0", "a" * 5000], ids=["missing", "a folder", "NUL", "too long"])
def test_a_key_file_that_cannot_be_read_is_refused(kind: Kind, name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"WONDER_PRIVATE_KEY_FILE can't be read: \w") as caught:
        kind.from_env(environ(WONDER_PRIVATE_KEY=None, WONDER_PRIVATE_KEY_FILE=str(tmp_path / name)))
    assert caught.value.__context__ is None


@for_both_clients
@pytest.mark.parametrize("content", ["", "garbage"])
def test_a_key_file_without_a_key_is_refused(kind: Kind, content: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match="is no PEM"):
        kind.from_env(environ(WONDER_PRIVATE_KEY=None, WONDER_PRIVATE_KEY_FILE=str(file)))


@for_both_clients
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"WONDER_APP_ID": "a/b"}, "app_id"),
        ({"WONDER_PRIVATE_KEY": "garbage"}, "is no PEM"),
        ({"WONDER_ENVIRONMENT": "live"}, "environment"),
        ({"WONDER_ENVIRONMENT": "live", "WONDER_BASE_URL": "https://gateway.example"}, "environment"),
        ({"WONDER_BASE_URL": "http://gateway.example"}, "base_url"),
        ({"WONDER_LANGUAGE": "de"}, "language"),
    ],
)
def test_a_wrong_variable_is_refused_like_the_argument(kind: Kind, changes: dict[str, str | None], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        kind.from_env(environ(**changes))


# Arguments in place of variables


@for_both_clients
@pytest.mark.parametrize(
    ("changes", "overrides", "wanted"),
    [
        ({}, {"app_id": "other"}, ("other", SANDBOX, None)),
        ({"WONDER_APP_ID": None}, {"app_id": "other"}, ("other", SANDBOX, None)),
        ({}, {"environment": "production"}, ("app", PRODUCTION, None)),
        ({"WONDER_ENVIRONMENT": None}, {"environment": Environment.PRODUCTION}, ("app", PRODUCTION, None)),
        ({"WONDER_BASE_URL": "http://localhost:1"}, {"environment": "production"}, ("app", "http://localhost:1", None)),
        ({}, {"base_url": "http://localhost:2"}, ("app", "http://localhost:2", None)),
        ({"WONDER_BASE_URL": "http://localhost:1"}, {"base_url": None}, ("app", SANDBOX, None)),
        ({"WONDER_LANGUAGE": "en"}, {"language": "zh-HK"}, ("app", SANDBOX, "zh-HK")),
        ({"WONDER_LANGUAGE": "en"}, {"language": None}, ("app", SANDBOX, None)),
        ({}, {"timeout": 3, "retry": RetryPolicy.never()}, ("app", SANDBOX, None)),
    ],
)
def test_an_override_stands_in_place_of_its_variable(
    kind: Kind, changes: dict[str, str | None], overrides: dict[str, Any], wanted: tuple[str | None, ...]
) -> None:
    request = wire_from(kind, environ(**changes), **overrides)
    assert (app_id(request), origin(request), request.headers.get("x-i18n-lang")) == wanted


@for_both_clients
@pytest.mark.parametrize(
    "changes",
    [
        {"WONDER_PRIVATE_KEY": None},
        {"WONDER_PRIVATE_KEY": "garbage"},
        {"WONDER_PRIVATE_KEY_FILE": "/no/such/file"},
        {"WONDER_PRIVATE_KEY": None, "WONDER_PRIVATE_KEY_FILE": "/no/such/file"},
        {"WONDER_PRIVATE_KEY_PASSPHRASE": "of the other key"},
    ],
    ids=str,
)
def test_an_override_of_the_key_stands_in_place_of_all_three_of_its_variables(
    kind: Kind, changes: dict[str, str | None]
) -> None:
    variables = {"WONDER_PRIVATE_KEY": other_pem(), **changes}
    assert is_signed(wire_from(kind, environ(**variables), private_key=pem()))


@for_both_clients
def test_an_overriding_key_has_an_overriding_passphrase(kind: Kind) -> None:
    variables = environ(WONDER_PRIVATE_KEY=other_pem(), WONDER_PRIVATE_KEY_PASSPHRASE="of the other key")
    assert is_signed(wire_from(kind, variables, private_key=pem(PASSPHRASE), passphrase=PASSPHRASE))


@for_both_clients
@pytest.mark.parametrize("variable", [None, "wrong"])
def test_an_override_of_the_passphrase_is_for_the_key_of_the_environment(kind: Kind, variable: str | None) -> None:
    variables = environ(WONDER_PRIVATE_KEY=pem(PASSPHRASE), WONDER_PRIVATE_KEY_PASSPHRASE=variable)
    assert is_signed(wire_from(kind, variables, passphrase=PASSPHRASE))


@for_both_clients
@pytest.mark.parametrize("overrides", [{"app_id": ""}, {"private_key": ""}])
def test_an_empty_override_is_not_filled_from_the_environment(kind: Kind, overrides: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="Set WONDER_"):
        kind.from_env(environ(), **overrides)


@for_both_clients
def test_an_override_of_no_setting_is_a_type_error_as_for_any_function(kind: Kind) -> None:
    overrides: dict[str, Any] = {"nonsense": 1}
    with pytest.raises(TypeError, match="nonsense"):
        kind.from_env(environ(), **overrides)


# RetryPolicy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("max_attempts", value) for value in (0, -1, 1.5, 2.0, *NO_NUMBERS)],
        *[("max_elapsed", value) for value in (0, 0.0, -1, *NO_NUMBERS)],
        *[("backoff_initial", value) for value in (-1, -0.001, *NO_NUMBERS)],
        *[("backoff_max", value) for value in (-1, -0.001, *NO_NUMBERS)],
        *[("jitter", value) for value in (-0.1, 1.1, 2, *NO_NUMBERS)],
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_retry_policy_refuses_a_value_out_of_bounds_and_names_the_field(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{field} must be"):
        RetryPolicy(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_attempts", 1),
        ("max_attempts", 1000),
        ("max_elapsed", 0.001),
        ("max_elapsed", 86400),
        ("backoff_initial", 0),
        ("backoff_initial", 100.0),
        ("backoff_max", 0),
        ("backoff_max", 0.1),
        ("jitter", 0),
        ("jitter", 0.5),
        ("jitter", 1),
    ],
)
def test_a_retry_policy_takes_a_value_in_bounds(field: str, value: float) -> None:
    assert getattr(RetryPolicy(**{field: value}), field) == value  # type: ignore[arg-type]


def test_a_retry_policy_has_the_documented_defaults() -> None:
    documented = RetryPolicy(max_attempts=4, max_elapsed=30.0, backoff_initial=0.5, backoff_max=8.0, jitter=1.0)
    assert RetryPolicy() == documented
    assert RetryPolicy.never() == RetryPolicy(max_attempts=1)


def test_a_retry_policy_is_frozen() -> None:
    policy: Any = RetryPolicy()
    with pytest.raises(AttributeError):
        policy.max_attempts = 5


# What is asked for


@for_both_clients
@pytest.mark.parametrize(
    ("token", "asked"),
    [(TOKEN, TOKEN), (TOKEN.upper(), TOKEN), (UUID(TOKEN), TOKEN)],
    ids=["text", "upper case", "UUID"],
)
def test_a_token_is_a_uuid_as_text_or_as_uuid(kind: Kind, token: str | UUID, asked: str) -> None:
    assert json.loads(wire_of_check(kind, token=token).content) == {"payment_token": {"token": asked}}


@for_both_clients
@pytest.mark.parametrize(
    ("customer_uuid", "segment"),
    [
        (None, "uuid"),
        ("uuid", "uuid"),
        (CUSTOMER, CUSTOMER),
        (CUSTOMER.upper(), CUSTOMER),
        (UUID(CUSTOMER), CUSTOMER),
    ],
)
def test_a_customer_is_a_uuid_or_the_literal_uuid(kind: Kind, customer_uuid: Any, segment: str) -> None:
    path = wire_of_check(kind, customer_uuid=customer_uuid).url.path
    assert path == f"/svc/payment/api/v1/openapi/customers/{segment}/payment_tokens/check"


def wire_of_check(kind: Kind, **options: Any) -> httpx.Request:
    return wire(lambda transport: made(kind, transport=transport), **options)


NO_UUIDS = [
    "",
    "not a uuid",
    CUSTOMER[:-1],
    f"{CUSTOMER}0",
    f"{CUSTOMER}\n",
    f" {CUSTOMER}",
    CUSTOMER.replace("-", ""),
    f"{{{CUSTOMER}}}",
    f"urn:uuid:{CUSTOMER}",
    CUSTOMER.replace("1", "g"),
    CUSTOMER.replace("1", "\uff11"),
    f"{CUSTOMER}/../..",
    "4111 1111 1111 1111",
    "\ud800",
    CUSTOMER.encode(),
    411111111111111111,
    False,
    [CUSTOMER],
]


@for_both_clients
@pytest.mark.parametrize(
    ("name", "value"),
    [*[("token", value) for value in [*NO_UUIDS, None, "uuid"]], *[("customer_uuid", value) for value in NO_UUIDS]],
    ids=repr,
)
def test_what_is_no_uuid_is_refused_unquoted_and_nothing_is_sent(kind: Kind, name: str, value: Any) -> None:
    with pytest.raises(InvalidTokenError, match=f"^{name} must be a UUID") as caught:
        check(made(kind, transport=NOTHING_IS_SENT), **{"token": TOKEN, name: value})
    error = caught.value
    assert isinstance(error, ValueError)
    assert (error.attempts, error.request_id) == (0, None)
    assert str(error).endswith("(nothing was sent)")
    quoted = str(value).strip()
    assert len(quoted) < 8 or quoted not in chain(error)


@for_both_clients
def test_a_closed_client_is_a_configuration_error(kind: Kind) -> None:
    client = made(kind, transport=NOTHING_IS_SENT)
    with pytest.raises(InvalidTokenError):
        check(client, "no token")  # and closes
    with pytest.raises(ConfigurationError, match="This client is closed"):
        check(client)


def test_close_and_aclose_close_a_client_and_may_be_called_twice() -> None:
    client = made(WonderClient, transport=NOTHING_IS_SENT)
    assert isinstance(client, WonderClient)
    client.close()
    client.close()
    with pytest.raises(ConfigurationError, match="This client is closed"):
        client.check_token(TOKEN)

    async def close_async() -> None:
        client = made(AsyncWonderClient, transport=NOTHING_IS_SENT)
        assert isinstance(client, AsyncWonderClient)
        await client.aclose()
        await client.aclose()
        with pytest.raises(ConfigurationError, match="This client is closed"):
            await client.check_token(TOKEN)

    asyncio.run(close_async())


@for_both_clients
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/nonexistent"),
        ("HTTPS_PROXY", "ftp://proxy.example"),
        ("ALL_PROXY", "http://[::1"),
    ],
)
def test_proxy_or_tls_settings_of_the_environment_that_cannot_be_used_are_told(
    kind: Kind, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="proxy or TLS settings"):
        kind("app", key(), environment="sandbox")


@for_both_clients
@pytest.mark.parametrize("host", ["xn--a", "xn--zzzzzz.com"])
def test_a_host_that_is_no_name_is_refused(kind: Kind, host: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url is not a URL"):
        kind("app", key(), environment=None, base_url=f"https://{host}")
