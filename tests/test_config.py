"""Settings and arguments become checked values: pure tables, and a smoke test with each client."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from conftest import TOKEN, Kind, for_both_clients, key, pem
from wonder_payment import (
    AsyncWonderClient,
    ConfigurationError,
    Environment,
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
    checked_origin,
    checked_transport,
    checked_uuid,
    described,
    resolved_origin,
    settings_from,
)
from wonder_payment.signing import verify

SANDBOX = "https://gateway-stg.wonder.today"
PRODUCTION = "https://gateway.wonder.today"
EXAMPLE = "https://gateway.example"
CUSTOMER = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"
PASSPHRASE = "correct horse"


# The gateway


@pytest.mark.parametrize(
    ("environment", "base_url", "origin"),
    [
        ("sandbox", None, SANDBOX),
        ("production", None, PRODUCTION),
        (Environment.SANDBOX, None, SANDBOX),
        (Environment.PRODUCTION, None, PRODUCTION),
        ("production", EXAMPLE, EXAMPLE),
        (None, EXAMPLE, EXAMPLE),
        (None, f"{EXAMPLE}/", EXAMPLE),
        (None, "HTTPS://Gateway.Example", EXAMPLE),
        (None, "https://gateway.example:443", EXAMPLE),
        (None, "HTTPS://gateway.example:443", EXAMPLE),
        (None, "HTTP://127.0.0.1:80", "http://127.0.0.1"),
        (None, "https://GATEWAY.example:8443", "https://gateway.example:8443"),
        (None, "https://10.0.0.1", "https://10.0.0.1"),
        (None, "https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
        (None, "https://gateway_1.internal", "https://gateway_1.internal"),
        (None, "https://gätewäy.example", "https://xn--gtewy-grad.example"),
        (None, "https://應用.example", f"https://{'應用'.encode('idna').decode()}.example"),
        (None, "https://localhost:1", "https://localhost:1"),
        (None, "http://localhost", "http://localhost"),
        (None, "http://LOCALHOST:8000", "http://localhost:8000"),
        (None, "http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        (None, "http://127.0.0.5", "http://127.0.0.5"),
        (None, "http://[::1]:65535", "http://[::1]:65535"),
    ],
)
def test_the_origin_is_that_of_the_base_url_or_else_of_the_environment(
    environment: Any, base_url: Any, origin: str
) -> None:
    assert resolved_origin(environment, base_url) == origin


@pytest.mark.parametrize("environment", ["", "Sandbox", "PRODUCTION", " sandbox", "staging", True, 1, []])
@pytest.mark.parametrize("base_url", [None, EXAMPLE])
def test_a_wrong_environment_is_an_error_with_and_without_a_base_url(environment: Any, base_url: str | None) -> None:
    with pytest.raises(ConfigurationError, match="environment= must be sandbox or production"):
        resolved_origin(environment, base_url)


@for_both_clients
def test_the_environment_has_no_default(kind: Kind) -> None:
    with pytest.raises(ConfigurationError, match="there is no default"):
        kind("app", key())
    assert EXAMPLE in repr(kind("app", key(), base_url=EXAMPLE))


def test_an_environment_has_the_base_url_of_its_gateway() -> None:
    assert {kind.value: kind.base_url for kind in Environment} == {"sandbox": SANDBOX, "production": PRODUCTION}


WRONG_URLS: dict[str, list[Any]] = {
    "not https": [
        *("http://gateway.example", "http://gateway.wonder.today:443", "http://10.0.0.1", "http://0.0.0.0:8000"),
        *(
            "http://[::2]",
            "http://localhost.another.example",
            "http://127.0.0.1.another.example",
            "http://notlocalhost",
        ),
        *("http://127.0.0.1.", "http://localhost.", "http://127.1", "http://2130706433", "http://0x7f000001"),
        *("http://ⓛocalhost", "http://localhost\u3002example", "http://[::1%25lo]", "https\u017f://gateway.example"),
        *("ftp://gateway.example", "wss://gateway.example", "javascript://gateway.example", "hhttps://gateway.example"),
        "file:///etc/hosts",
    ],
    "no scheme or no host": [
        *("https://", "https:///", "//gateway.example", "gateway.example", "gateway.example:443", "localhost:8000"),
        *("/", "", "nonsense", "https:gateway.example", "https:/gateway.example", "https:\\\\gateway.example"),
    ],
    "more than scheme, host and port": [
        *("https://user@gateway.example", "https://user:hunter2@gateway.example", "http://localhost@another.example"),
        *("https://gateway.wonder.today@another.example", "https://gateway.example\\@another.example"),
        *(f"{EXAMPLE}?a=hunter2", f"{EXAMPLE}/?a=hunter2", f"{EXAMPLE}?", f"{EXAMPLE}/?", f"{EXAMPLE}#hunter2"),
        *(f"{EXAMPLE}#", f"{EXAMPLE}/svc", f"{EXAMPLE}/svc/", f"{EXAMPLE}//", f"{EXAMPLE}/%2e", f"{EXAMPLE}/a/b"),
    ],
    "no port": [
        *(f"{EXAMPLE}:https", f"{EXAMPLE}:-1", f"{EXAMPLE}:99999", f"{EXAMPLE}:0", f"{EXAMPLE}:0x1bb"),
        *(f"{EXAMPLE}:443:443", f"{EXAMPLE}: 443", f"{EXAMPLE}:+443", f"{EXAMPLE}:\uff14\uff14\uff13"),
    ],
    "no host name": [
        *("https://gateway.example;hunter2", "https://gateway.example,another.example", "https://$GATEWAY"),
        *("https://{host}", "https://<host>", "https://*.example", 'https://gate"way.example'),
        *("https://gate|way.example", "https://gate`way.example", "https://gate way.example", f" {EXAMPLE}"),
        *("https://..", "https://gateway..example", "https://.gateway.example", "https://xn--a"),
        *("https://xn--zzzzzz.com", f"https://{'a' * 64}.example", f"https://{'a.' * 127}example"),
        *(f"https://{'ä' * 60}.example", f"https://{'a' * 70_000}", "https://\ud800", "https://gateway\uff0fexample"),
        *("https://gateway\uff20example", "https://gateway.example\uff1a443"),
    ],
    "no address": [
        *("https://[::1", "https://[nonsense]", "https://[::1]x", "https://::1", "https://[gateway.example]"),
        *("https://[v1.hunter2]", "https://[fe80::1%25eth0]", "https://[fe80::1%eth0]"),
    ],
    "invisible characters": [
        *(f"{EXAMPLE}\r\nX-Evil: 1", f"{EXAMPLE}\n", "https://gateway\0.example", "https://gate\u200bway.example"),
        *("https://gate\u00adway.example", f"{EXAMPLE}\u2028", f"{EXAMPLE}\x85", f"{EXAMPLE}\x1b[31m"),
    ],
    "no text": [b"https://gateway.example", 5, True, [EXAMPLE], httpx.URL(EXAMPLE)],
}


@pytest.mark.parametrize(
    "base_url",
    [
        pytest.param(url, id=f"{what}: {ascii(url)[:40].replace('0x', 'hex ')}")
        for what, urls in WRONG_URLS.items()
        for url in urls
    ],
)
def test_a_base_url_is_https_or_loopback_and_nothing_but_scheme_host_and_port(base_url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        checked_origin(base_url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


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
    with pytest.raises(ConfigurationError, match=r"^language= must be en or zh-HK or zh-CN, not "):
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


# Environment variables


def environ(**changes: str | None) -> dict[str, str]:
    """Return a complete environment with these changes; None removes a variable."""
    variables = {"WONDER_APP_ID": "app", "WONDER_PRIVATE_KEY": "a PEM", "WONDER_ENVIRONMENT": "sandbox", **changes}
    return {name: value for name, value in variables.items() if value is not None}


COMPLETE = {"app_id": "app", "environment": "sandbox", "base_url": None, "language": None}
COMPLETE |= {"private_key": "a PEM", "passphrase": None}


@pytest.mark.parametrize(
    ("variables", "overrides", "changed"),
    [
        ({}, {}, {}),
        ({"PATH": "/bin", "WONDER_TIMEOUT": "nonsense"}, {}, {}),
        ({"WONDER_ENVIRONMENT": "production"}, {}, {"environment": "production"}),
        ({"WONDER_BASE_URL": "http://localhost"}, {}, {"base_url": "http://localhost"}),
        ({"WONDER_BASE_URL": EXAMPLE, "WONDER_ENVIRONMENT": ""}, {}, {"base_url": EXAMPLE, "environment": None}),
        ({"WONDER_BASE_URL": "", "WONDER_LANGUAGE": "", "WONDER_PRIVATE_KEY_FILE": ""}, {}, {}),
        ({"WONDER_LANGUAGE": "zh-CN"}, {}, {"language": "zh-CN"}),
        ({"WONDER_PRIVATE_KEY": ' "a PEM"\n'}, {}, {}),
        ({"WONDER_PRIVATE_KEY": None, "WONDER_PRIVATE_KEY_FILE": '"/k.pem"\r'}, {}, {"private_key": Path("/k.pem")}),
        ({"WONDER_PRIVATE_KEY_PASSPHRASE": " 'p'\n"}, {}, {"passphrase": " 'p'\n"}),
        # Around the others, whitespace and quotes are removed.
        ({"WONDER_ENVIRONMENT": "sandbox\r", "WONDER_BASE_URL": '""', "WONDER_LANGUAGE": " "}, {}, {}),
        ({"WONDER_ENVIRONMENT": '"production"'}, {}, {"environment": "production"}),
        ({"WONDER_BASE_URL": f"'{EXAMPLE}/'\n"}, {}, {"base_url": EXAMPLE}),
        ({"WONDER_LANGUAGE": '\ufeff"zh-HK"'}, {}, {"language": "zh-HK"}),
        ({"WONDER_PRIVATE_KEY_PASSPHRASE": PASSPHRASE}, {}, {"passphrase": PASSPHRASE}),
        # An override replaces its variable,
        ({}, {"app_id": "other"}, {"app_id": "other"}),
        ({"WONDER_APP_ID": None}, {"app_id": "other"}, {"app_id": "other"}),
        ({"WONDER_ENVIRONMENT": None}, {"environment": Environment.SANDBOX}, {}),
        (
            {"WONDER_BASE_URL": EXAMPLE},
            {"environment": "production"},
            {"base_url": EXAMPLE, "environment": "production"},
        ),
        ({"WONDER_BASE_URL": EXAMPLE}, {"base_url": None}, {}),
        ({"WONDER_LANGUAGE": "en"}, {"language": "zh-HK"}, {"language": "zh-HK"}),
        ({"WONDER_LANGUAGE": "en"}, {"language": None}, {}),
        ({}, {"timeout": 3, "transport": None}, {"timeout": 3, "transport": None}),
        ({"WONDER_PRIVATE_KEY_PASSPHRASE": "wrong"}, {"passphrase": PASSPHRASE}, {"passphrase": PASSPHRASE}),
    ],
)
def test_settings_are_those_of_the_variables_unless_overridden(
    variables: dict[str, str | None], overrides: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert settings_from(environ(**variables), overrides) == COMPLETE | changed


@pytest.mark.parametrize(
    "variables",
    [
        {"WONDER_PRIVATE_KEY": None},
        {"WONDER_PRIVATE_KEY_FILE": "/no/such/file"},
        {"WONDER_PRIVATE_KEY": None, "WONDER_PRIVATE_KEY_FILE": "/no/such/file"},
        {"WONDER_PRIVATE_KEY_PASSPHRASE": "of the other key"},
    ],
    ids=str,
)
@pytest.mark.parametrize("passphrase", [{}, {"passphrase": PASSPHRASE}], ids=["no passphrase", "its own passphrase"])
def test_an_override_of_the_key_replaces_all_three_of_its_variables(
    variables: dict[str, str | None], passphrase: dict[str, str]
) -> None:
    settings = settings_from(environ(**variables), {"private_key": "mine"} | passphrase)
    assert settings["private_key"] == "mine"
    assert settings.get("passphrase") == passphrase.get("passphrase")


APP_ID, ENVIRONMENT = "WONDER_APP_ID", "WONDER_ENVIRONMENT (sandbox or production)"
KEY = "WONDER_PRIVATE_KEY (or WONDER_PRIVATE_KEY_FILE)"


@pytest.mark.parametrize("nothing", [None, "", " \r\n", '""'], ids=["unset", "empty", "blank", "quotes"])
@pytest.mark.parametrize(
    ("variables", "reported"),
    [
        (["WONDER_APP_ID"], APP_ID),
        (["WONDER_PRIVATE_KEY"], KEY),
        (["WONDER_ENVIRONMENT"], ENVIRONMENT),
        (["WONDER_APP_ID", "WONDER_ENVIRONMENT"], f"{APP_ID}, {ENVIRONMENT}"),
        (["WONDER_APP_ID", "WONDER_PRIVATE_KEY", "WONDER_ENVIRONMENT"], f"{APP_ID}, {KEY}, {ENVIRONMENT}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_all_missing_variables_are_reported_in_one_error(
    variables: list[str], reported: str, nothing: str | None
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_from(environ(**dict.fromkeys(variables, nothing)), {})
    assert str(caught.value) == f"Set {reported} in the environment. (nothing was sent)"


@for_both_clients
@pytest.mark.parametrize("name", ["app_id", "private_key", "environment", "base_url", "language"])
def test_an_empty_override_is_not_filled_from_the_environment(kind: Kind, name: str) -> None:
    override: Any = {name: ""}
    with pytest.raises(ConfigurationError, match=f"^{name}= "):
        kind.from_env(environ(WONDER_PRIVATE_KEY=pem()), **override)


def test_the_key_and_its_file_contradict_each_other() -> None:
    with pytest.raises(ConfigurationError, match="WONDER_PRIVATE_KEY or WONDER_PRIVATE_KEY_FILE, not both"):
        settings_from(environ(WONDER_PRIVATE_KEY_FILE="/key.pem"), {})


SECRETS = {
    "PEM": pem().strip(),
    "PEM on one line": pem().strip().replace("\n", " "),
    "part of a key": pem().replace("\n", "")[40:90],
    "password": "hunter2",
    "password with a slash": "Tr0ub/4dor",
    "words": "correct horse battery staple!",
    "URL with a password": "https://user:hunter2@gateway.example",
    "URL with a user": "https://hunter2@gateway.example/",
    "URL cut before its host": "https://user:hunter2",
    "user and password": "user:hunter2",
    "URL with a query": f"{EXAMPLE}?key=hunter2",
    "URL with a fragment": f"{EXAMPLE}#hunter2",
    "URL with a key in its path": f"{EXAMPLE}/hooks/{'A1b2' * 9}",
    "URL with a key in its host": f"https://{'A1b2' * 9}.example",
    "card number": "4111 1111 1111 1111",
    "card number with hyphens": "4111-1111-1111-1111",
    "two lines": "prod\nhunter2",
    "control characters": "\x1b[31mprod",
}


@pytest.mark.parametrize("value", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("name", ["app_id", "environment", "base_url", "language"])
def test_no_message_quotes_what_could_be_a_secret_in_the_wrong_place(name: str, value: str) -> None:
    assert described(value) == f"text of length {len(value)}"
    variable = f"WONDER_{name.upper()}"
    calls: list[Callable[[], object]] = [
        lambda: WonderClient.from_env(environ(**{variable: value, "WONDER_PRIVATE_KEY": pem()})),
        lambda: WonderClient(**{"app_id": "app", "private_key": key(), "base_url": EXAMPLE, name: value}),
    ]
    is_good = name == "app_id" and value.isascii() and value.isprintable() and not set(value) & set(" /")
    is_good |= name == "base_url" and value.startswith(f"https://{'A1b2' * 9}")  # as the name of a host
    for call in calls:
        with nullcontext() if is_good else pytest.raises(ConfigurationError, match=f"not text of length {len(value)}"):
            call()


QUOTED = {
    "app_id": ("a/b", "'a/b'"),
    "environment": ("prod", "'prod'"),
    "base_url": ("http://gateway.example:8080/svc", "'http://gateway.example:8080/svc'"),
    "language": ("zh_HK", "'zh_HK'"),
}


@for_both_clients
@pytest.mark.parametrize(("name", "value", "quoted"), [(name, *values) for name, values in QUOTED.items()])
def test_a_message_names_where_a_value_came_from_and_quotes_it(kind: Kind, name: str, value: str, quoted: str) -> None:
    variables = environ(WONDER_PRIVATE_KEY=pem())
    arguments: dict[str, Any] = {"app_id": "app", "private_key": key(), "environment": "sandbox", name: value}
    variable = f"WONDER_{name.upper()}"
    calls: dict[str, Callable[[], object]] = {
        variable: lambda: kind.from_env(variables | {variable: value}),
        f"{name}=": lambda: kind(**arguments),
        f"{name}= ": lambda: kind.from_env(variables, **{name: value}),
    }
    for source, call in calls.items():
        with pytest.raises(ConfigurationError, match=f"^{source} ?must .*, not {quoted}"):
            call()


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        *(("enviroment", "environment"), ("appid", "app_id"), ("private_keys", "private_key"), ("baseurl", "base_url")),
        *(("pass_phrase", "passphrase"), ("time_out", "timeout"), ("retries", "retry"), ("nonsense", None)),
    ],
)
@for_both_clients
def test_a_misspelt_keyword_of_from_env_is_named_before_missing_settings(
    kind: Kind, wrong: str, near: str | None
) -> None:
    hint = rf" Did you mean '{near}'\?" if near else ""
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{wrong}'\.{hint}$"):
        kind.from_env({}, **{wrong: "hunter2"})


# With the clients


def sent(kind: Kind, make: Callable[..., WonderClient | AsyncWonderClient], **options: Any) -> httpx.Request:
    """Return the one request that a check with this client sends."""
    requests: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        fields = {"token_type": "CreditCard", "token": TOKEN, "state": "success", "default": True}
        return httpx.Response(200, json={"code": 0, "message": "", "data": {"payment_token": fields}})

    client = make(transport=httpx.MockTransport(respond))
    result = client.check_token(TOKEN, **options)
    assert (result if isinstance(client, WonderClient) else asyncio.run(result)).is_verified  # type: ignore[union-attr,arg-type]
    assert type(client) is kind
    (request,) = requests
    return request


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


@for_both_clients
def test_a_request_has_the_settings_of_its_client(kind: Kind) -> None:
    settings: dict[str, Any] = {"environment": None, "base_url": "https://gätewäy.example:8443", "language": "zh-HK"}
    secrets: dict[str, Any] = {"private_key": pem(PASSPHRASE).encode(), "passphrase": PASSPHRASE.encode()}
    request = sent(kind, lambda **transport: kind("a.b", **settings, **secrets, **transport), customer_uuid=CUSTOMER)
    path = f"/svc/payment/api/v1/openapi/customers/{CUSTOMER}/payment_tokens/check"
    assert str(request.url) == f"https://xn--gtewy-grad.example:8443{path}"
    assert request.headers["Host"] == "xn--gtewy-grad.example:8443"
    assert request.headers["Credential"].startswith("a.b/")
    assert request.headers["x-i18n-lang"] == "zh-HK"
    assert is_signed(request)


@for_both_clients
def test_from_env_reads_the_variables_of_the_process_or_those_given(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = environ(WONDER_PRIVATE_KEY=pem().replace("\n", "\\n"))
    for name in [name for name in os.environ if name.startswith("WONDER_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    mine = sent(kind, kind.from_env)
    given = sent(kind, lambda **transport: kind.from_env(variables | {"WONDER_APP_ID": "given"}, **transport))
    override = sent(kind, lambda **transport: kind.from_env(app_id="override", timeout=3.0, **transport))
    assert [request.headers["Credential"].split("/")[0] for request in (mine, given, override)] == [
        *("app", "given", "override")
    ]
    assert is_signed(mine)
    assert "x-i18n-lang" not in mine.headers
    with pytest.raises(ConfigurationError, match="Set WONDER_APP_ID"):
        kind.from_env({})
    with pytest.raises(TypeError, match="nonsense"):
        kind.from_env(variables, nonsense=1)  # type: ignore[call-arg]


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


def test_the_function_check_token_makes_its_client_from_the_environment() -> None:
    # In a process of its own: this one may have its client already.
    program = f"import wonder_payment; wonder_payment.check_token({TOKEN!r})"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("WONDER_")}
    run = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ConfigurationError: Set WONDER_APP_ID, WONDER_PRIVATE_KEY " in run.stderr
