"""No secret in what the command line shows."""

import pytest
from crashes import NUMBER, PASSPHRASE, crash_report, leaks, pem_of
from crashes import SECRET_TOKEN as TOKEN
from faults.endings import ENDINGS, SPACED
from faults.secrets_shown import WRONG_VARIABLES, secrets_of
from typer.testing import CliRunner
from wonder_payment.cli import app
from wonder_payment.simulator import Fault, SimulatedGateway

COMMANDS = {
    "check": ["check", TOKEN],
    "wait": ["wait", TOKEN, "--timeout", "30"],
    "doctor": ["doctor"],
    "check a card": ["check", NUMBER],
    "wait for a card": ["wait", NUMBER],
    "check a token without dashes": ["check", TOKEN.replace("-", "")],
    "check two": ["check", TOKEN, TOKEN],
    "check a card with spaces": ["check", *SPACED.split()],
    "a token for a command": [TOKEN],
    "a token for a time": ["wait", TOKEN, "--timeout", TOKEN],
    "a token for an option": ["check", f"--{TOKEN}"],
    "a wrong customer": ["check", TOKEN, "--customer-uuid", NUMBER],
}
SHOWN_BY_COMMANDS = {name: ENDINGS[name].fault for name in ("verified", "failed", "pending", "404", "another token")}


@pytest.mark.parametrize("fault", SHOWN_BY_COMMANDS.values(), ids=SHOWN_BY_COMMANDS)
@pytest.mark.parametrize("command", ["check", "wait", "doctor"])
@pytest.mark.usefixtures("clock")
def test_the_command_line_shows_nothing_secret(gateway: SimulatedGateway, command: str, fault: Fault) -> None:
    gateway.inject(fault)
    assert leaks(secrets_of(gateway), typed(gateway, COMMANDS[command])) == {}
    assert gateway.requests


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("check", "wait", "doctor")])
def test_the_command_line_does_not_quote_wrong_arguments(gateway: SimulatedGateway, command: str) -> None:
    assert leaks(secrets_of(gateway), typed(gateway, COMMANDS[command])) == {}
    assert gateway.requests == []


@pytest.mark.parametrize("changed", WRONG_VARIABLES.values(), ids=WRONG_VARIABLES)
@pytest.mark.parametrize("command", ["check", "doctor"])
def test_the_command_line_quotes_no_secret_setting(
    gateway: SimulatedGateway, command: str, changed: dict[str, str]
) -> None:
    assert leaks(secrets_of(gateway), typed(gateway, COMMANDS[command], **changed)) == {}


def typed(gateway: SimulatedGateway, arguments: list[str], **changed: str) -> list[str]:
    """Return what a command shows on both streams."""
    key = {"WONDER_PRIVATE_KEY": pem_of(gateway.private_key, PASSPHRASE), "WONDER_PRIVATE_KEY_PASSPHRASE": PASSPHRASE}
    result = CliRunner().invoke(app, arguments, env={**gateway.environ, **key, **changed})
    assert result.output
    unexpected = result.exception and not isinstance(result.exception, SystemExit)
    return [result.output, *(crash_report(result.exception) if unexpected and result.exception else [])]
