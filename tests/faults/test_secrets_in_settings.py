"""No secret in the error about a wrong setting or a wrong variable."""

from collections.abc import Callable
from typing import Any

import pytest
import wonder_payment
from conftest import Caller
from crashes import PASSPHRASE, crash_report, leaks, pem_of, pieces
from crashes import SECRET_TOKEN as TOKEN
from faults.secrets_shown import WRONG_VARIABLES, client_of, pickled, secrets_of
from wonder_payment import AsyncWonderClient, ConfigurationError, WonderClient
from wonder_payment.simulator import SimulatedGateway

WRONG_PASSPHRASE = {"passphrase": f"{PASSPHRASE} {PASSPHRASE}"}


@pytest.mark.parametrize(
    "changed",
    [
        WRONG_PASSPHRASE,
        {"passphrase": None},
        {"passphrase": [PASSPHRASE]},
        {"app_id": "app/id"},
        {"environment": "live"},
        {"base_url": "http://gateway.example"},
        {"base_url": "https://gateway.example/path"},
        {"language": "de"},
        {"timeout": 0},
        {"retry": None},
        {"transport": "direct"},
        {"on_retry": "print"},
    ],
    ids=[
        *("a wrong passphrase", "no passphrase", "a passphrase in a list", "app_id", "environment", "plain HTTP"),
        *("a path in base_url", "language", "timeout", "retry", "transport", "on_retry"),
    ],
)
def test_the_error_about_a_wrong_setting_has_nothing_of_the_key(
    caller: Caller, gateway: SimulatedGateway, changed: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        client_of(caller, gateway, **changed)
    assert leaks(secrets_of(gateway), [*crash_report(caught.value), *pickled(caught.value)]) == {}


@pytest.mark.parametrize("damage", ["cut short", "damaged", "public"])
def test_the_error_about_a_damaged_key_has_nothing_of_it(
    caller: Caller, gateway: SimulatedGateway, damage: str
) -> None:
    pem = pem_of(gateway.private_key, None)
    damaged = {
        "cut short": pem[: len(pem) // 2],
        "damaged": "-----BEGIN PRIVATE KEY-----\n" + pem.split("\n", 1)[1].replace("A", "B"),
        "public": pem.replace("PRIVATE KEY", "PUBLIC KEY"),
    }[damage]
    with pytest.raises(ConfigurationError) as caught:
        caller.make(private_key=damaged)
    key = {f"piece {i}": piece for i, piece in enumerate(pieces("".join(damaged.splitlines()[1:])))}
    secrets = secrets_of(gateway) | key
    assert leaks(secrets, [*crash_report(caught.value), *pickled(caught.value)]) == {}


@pytest.mark.parametrize("changed", WRONG_VARIABLES.values(), ids=WRONG_VARIABLES)
@pytest.mark.parametrize(
    "make",
    [WonderClient.from_env, AsyncWonderClient.from_env, lambda: wonder_payment.check_token(TOKEN)],
    ids=["sync", "async", "the one-liner"],
)
def test_the_error_about_a_wrong_variable_has_nothing_of_the_key(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, make: Callable[[], object], changed: dict[str, str]
) -> None:
    key = {
        "WONDER_PRIVATE_KEY": pem_of(gateway.private_key, PASSPHRASE),
        "WONDER_PRIVATE_KEY_PASSPHRASE": PASSPHRASE,
    }
    for name, value in {**gateway.environ, **key, **changed}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert leaks(secrets_of(gateway), [*crash_report(caught.value), *pickled(caught.value)]) == {}
