"""from_env(): the settings that it finds, which a request then has, and what its messages quote."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import TOKEN, Kind, for_both_clients, key, pem
from good_settings import CUSTOMER, EXAMPLE, PASSPHRASE, environ
from signed import is_signed
from wonder_payment import AsyncWonderClient, ConfigurationError, Environment, WonderClient
from wonder_payment.config import described, settings_from

# Environment variables


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


def test_the_function_check_token_makes_its_client_from_the_environment() -> None:
    # In a process of its own: this one may have its client already.
    program = f"import wonder_payment; wonder_payment.check_token({TOKEN!r})"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("WONDER_")}
    run = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ConfigurationError: Set WONDER_APP_ID, WONDER_PRIVATE_KEY " in run.stderr
