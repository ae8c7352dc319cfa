"""The command line, as typed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Clock
from typer.testing import CliRunner, Result
from wonder_payment.cli import app
from wonder_payment.simulator import WELL_KNOWN, Fault, SimulatedGateway

KNOWN = {number: known.token for number, known in enumerate(WELL_KNOWN, start=1)}
DECLINED = "The simulated card holder did not pass 3-D Secure."


def run(gateway: SimulatedGateway | None, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env=gateway.environ if gateway else {"WONDER_APP_ID": "app"})


@pytest.mark.parametrize(
    ("number", "status", "output"),
    [
        (1, 0, "✔ success  CreditCard …0001  visa …1111 until 12/2030\n"),
        (4, 3, "… pending  CreditCard …0004  visa …1111 until 12/2030\n"),
        (5, 0, "✔ success  AlipayAutoDebit …0005\n"),
        (6, 3, "… reviewing  CreditCard …0006  visa …1111 until 12/2030\n"),
        (
            2,
            4,
            "✘ failed  CreditCard …0002  visa …1111 until 12/2030  SIM_3DS_DECLINED: " + DECLINED + "\n",
        ),
    ],
)
def test_check_prints_one_line_and_exits_with_the_state(
    gateway: SimulatedGateway, number: int, status: int, output: str
) -> None:
    result = run(gateway, "check", KNOWN[number])
    assert (result.exit_code, result.stdout, result.stderr) == (status, output, "")


def test_check_prints_json_for_machines(gateway: SimulatedGateway) -> None:
    result = run(gateway, "check", "--json", KNOWN[2])
    answer = json.loads(result.stdout)
    assert result.exit_code == 4
    assert (answer["token"], answer["state"], answer["error_code"]) == (KNOWN[2], "failed", "SIM_3DS_DECLINED")
    assert answer["card"]["exp_year"] == "2030"


def test_check_sends_the_customers_uuid(gateway: SimulatedGateway) -> None:
    customer = "4d0f7f0e-0d5c-4f43-9a4c-0d0d7e6d5d11"
    run(gateway, "check", KNOWN[1], "--customer-uuid", customer)
    assert gateway.requests[0].customer_uuid == customer


def test_an_error_is_one_line_on_stderr_with_the_request_id(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=404))
    result = run(gateway, "check", KNOWN[1])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("wonder-payment: The gateway answered HTTP 404")
    assert result.stderr.endswith(f"(request id {gateway.requests[0].request_id}, 1 attempt)\n")
    assert result.stderr.count("\n") == 1


def test_a_token_that_is_no_uuid_is_a_usage_error(gateway: SimulatedGateway) -> None:
    result = run(gateway, "check", "4111111111111111")
    assert result.exit_code == 2
    assert "4111111111111111" not in result.output
    assert gateway.requests == []


def test_missing_settings_are_all_named(gateway: SimulatedGateway) -> None:
    result = run(None, "check", KNOWN[1])
    assert result.exit_code == 1
    assert "WONDER_PRIVATE_KEY" in result.stderr
    assert "WONDER_ENVIRONMENT" in result.stderr
    assert "WONDER_APP_ID" not in result.stderr
    assert gateway.requests == []


def test_the_demo_checks_one_token_until_verified_and_one_until_failed_in_under_10_seconds(clock: Clock) -> None:
    result = run(None, "demo")
    looks = [line.split()[3] for line in result.stdout.splitlines() if line.startswith("   ")]
    assert result.exit_code == 0
    assert looks == ["pending", "pending", "success", "pending", "pending", "failed"]
    assert sum(clock.slept) < 10


@pytest.mark.parametrize(
    "command", [[str(Path(sys.executable).with_name("wonder-payment"))], [sys.executable, "-m", "wonder_payment"]]
)
def test_the_command_is_installed(command: list[str]) -> None:
    result = subprocess.run([*command, "--help"], check=True, capture_output=True, text=True)
    assert "WONDER_PRIVATE_KEY_FILE" in result.stdout


def test_without_the_extras_the_command_says_how_to_install_them() -> None:
    hide = "import sys; sys.modules['typer'] = None; from wonder_payment.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", hide], check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert "pip install 'wonder-payment[cli,simulator]'" in result.stderr
    assert "Traceback" not in result.stderr
