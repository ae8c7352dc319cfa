"""The command line, except for `batch`."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import CARD_NUMBER, FAILED, PENDING, PROGRAM, PROGRAMS, VERIFIED, VERIFIED_LATER, is_one_line, run, start
from conftest import TOKEN, Clock
from wonder_payment import WonderClient, __main__
from wonder_payment.simulator import TEST_TOKENS, Fault, SimulatedGateway


@pytest.mark.parametrize(
    ("settings", "status", "line"),
    [
        ({"states": ["success"]}, 0, "✔ success  CreditCard …{}  visa …1111 until 12/2030"),
        ({"states": ["pending"]}, 3, "… pending  CreditCard …{}  visa …1111 until 12/2030"),
        ({"states": ["reviewing"], "card": {}}, 3, "… reviewing  CreditCard …{}"),
        ({"states": ["success"], "token_type": "AlipayAutoDebit", "card": None}, 0, "✔ success  AlipayAutoDebit …{}"),
        (
            {"states": ["failed"], "error_code": "E1", "error_message": f"Declined: {CARD_NUMBER}", "card": None},
            4,
            "✘ failed  CreditCard …{}  E1: Declined: …1111",
        ),
    ],
    ids=["verified", "pending", "unknown state", "no card", "failed"],
)
def test_check_prints_one_line_and_exits_with_the_state(
    gateway: SimulatedGateway, settings: dict[str, Any], status: int, line: str
) -> None:
    token = gateway.add_token(**settings)
    result = run(gateway, "check", token)
    assert (result.exit_code, result.stdout, result.stderr) == (status, line.format(token[-4:]) + "\n", "")


def test_check_prints_json_for_programs(gateway: SimulatedGateway) -> None:
    result = run(gateway, "check", "--json", FAILED)
    printed = json.loads(result.stdout)
    assert result.exit_code == 4
    assert (printed["token"], printed["state"], printed["error_code"]) == (FAILED, "failed", "SIM_3DS_DECLINED")
    assert printed["card"]["exp_year"] == "2030"


@pytest.mark.parametrize("command", ["check", "wait"])
def test_the_uuids_of_a_token_are_sent(command: str) -> None:
    with SimulatedGateway(requires_customer_uuid=True, requires_verify_uuid=True) as gateway:
        customer, verify = gateway.token_arguments.values()
        result = run(gateway, command, VERIFIED, "--customer-uuid", customer, "--verify-uuid", verify)
    assert (result.exit_code, gateway.requests[0].customer_uuid) == (0, customer)


def test_an_error_is_one_line_on_stderr_with_the_request_id(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=404))
    result = run(gateway, "check", VERIFIED)
    assert (result.exit_code, result.stdout, is_one_line(result.stderr)) == (1, "", True)
    assert "HTTP 404" in result.stderr
    assert result.stderr.endswith(f"(request id {gateway.requests[0].request_id}, 1 attempt)\n")


@pytest.mark.parametrize(
    "arguments",
    [["check", CARD_NUMBER], ["check", VERIFIED, CARD_NUMBER], ["wait", TOKEN, "--timeout", CARD_NUMBER]],
    ids=["token", "argument", "option"],
)
def test_wrong_usage_is_reported_without_quoting_a_secret(gateway: SimulatedGateway, arguments: list[str]) -> None:
    result = run(gateway, *arguments)
    assert (result.exit_code, gateway.requests) == (2, [])
    assert CARD_NUMBER not in result.output


def test_all_missing_settings_are_named() -> None:
    result = run(None, "check", VERIFIED, WONDER_APP_ID="app")
    assert (result.exit_code, is_one_line(result.stderr)) == (1, True)
    named = [name in result.stderr for name in ("WONDER_PRIVATE_KEY", "WONDER_ENVIRONMENT", "WONDER_APP_ID")]
    assert named == [True, True, False]


@pytest.mark.parametrize(
    ("token", "status", "last"),
    [(VERIFIED_LATER, 0, "✔"), (FAILED, 4, "✘"), (PENDING, 3, "…")],
    ids=["verified", "failed", "pending"],
)
def test_wait_prints_a_line_for_each_poll_and_exits_with_the_state(
    gateway: SimulatedGateway, clock: Clock, token: str, status: int, last: str
) -> None:
    result = run(gateway, "wait", token, "--timeout", "5")
    *lines, final = result.stdout.splitlines()
    assert (result.exit_code, len(lines) + 1) == (status, len(gateway.requests))
    assert all(re.match(r" +\d\.\d s  … pending  CreditCard", line) for line in lines)
    assert last in final
    assert ("Timed out" in result.stderr) == (status == 3)
    assert len(clock.slept) == len(lines)


@pytest.mark.parametrize(
    ("token", "status", "state"), [(VERIFIED_LATER, 0, "success"), (PENDING, 3, "pending")], ids=["verified", "pending"]
)
def test_wait_prints_json_for_programs(
    gateway: SimulatedGateway, clock: Clock, token: str, status: int, state: str
) -> None:
    result = run(gateway, "wait", "--json", token, "--timeout", "5")
    assert (result.exit_code, json.loads(result.stdout)["state"]) == (status, state)
    assert bool(result.stderr) == (status == 3)
    assert clock.slept


def test_wait_shows_a_live_line_on_a_terminal(gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    leader, follower = pty.openpty()
    process = start(gateway, "wait", token, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    output = b""
    with contextlib.suppress(OSError):  # Linux reports the closed terminal so
        while piece := os.read(leader, 65536):
            output += piece
            if b"pending" in output and b"next poll in" in output:
                gateway.approve(token)
    os.close(leader)
    assert process.wait() == 0
    assert "success" in output.decode().splitlines()[-1]


@PROGRAMS
@pytest.mark.parametrize("arguments", [["wait", PENDING], ["demo"]], ids=["wait", "demo"])
def test_ctrl_c_ends_a_command_without_a_traceback(
    gateway: SimulatedGateway, arguments: list[str], program: list[str]
) -> None:
    process = start(gateway, *arguments, program=program)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, "Traceback" in errors) == (130, False)


def test_the_demo_shows_each_outcome_and_takes_less_than_10_seconds(clock: Clock) -> None:
    result = run(None, "demo")
    assert result.exit_code == 0
    polls = re.findall(r"^ *[0-9.]+ s  \S (\w+)", result.stdout, re.MULTILINE)
    assert polls[:7] == ["pending", "pending", "pending", "success", "pending", "failed", "success"]
    assert set(polls[7:]) == {"pending"}
    for text in ("attempt 1: HTTP 502; retry in", "attempt 2: NetworkError; retry in", "StillPendingError: Timed out"):
        assert text in result.stdout
    assert "each with its own signature, and rejected 0." in result.stdout
    assert 2.0 < sum(clock.slept) < 10.0


@PROGRAMS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_the_simulator_prints_variables_for_a_shell_and_runs_until_a_signal(number: int, program: list[str]) -> None:
    process = start(None, "simulator", program=program)
    assert process.stdout
    printed = ""
    while TEST_TOKENS[-1].token not in printed:
        printed += process.stdout.readline()
    environ = dict(re.findall(r"^export (\w+)='(.*)'$", printed, re.MULTILINE))
    assert environ["WONDER_BASE_URL"].startswith("http://127.0.0.1:")
    with WonderClient.from_env(environ) as wonder:
        assert wonder.check_token(VERIFIED).is_verified
    process.send_signal(number)
    assert (*process.communicate(), process.returncode) == ("# stopped\n", "", 0)


def test_the_simulator_prints_json_for_programs() -> None:
    process = start(None, "simulator", "--format", "json")
    assert process.stdout
    environ = json.loads(process.stdout.readline())
    assert environ["WONDER_PRIVATE_KEY"].startswith("-----BEGIN PRIVATE KEY-----\n")
    with WonderClient.from_env(environ) as wonder:
        assert wonder.check_token(VERIFIED).is_verified
    process.send_signal(signal.SIGINT)
    assert (*process.communicate(), process.returncode) == ("", "", 0)


def test_the_simulator_prints_a_dotenv_file() -> None:
    process = start(None, "simulator", "--format", "dotenv")
    assert process.stdout
    lines = [process.stdout.readline().rstrip("\n") for _ in range(4)]
    assert lines.pop() == ""
    # Single quotes: no reader of .env files changes what is between them.
    environ = dict(re.findall(r"^(\w+)='([^']*)'$", "\n".join(lines), re.MULTILINE))
    with WonderClient.from_env(environ) as wonder:
        assert wonder.check_token(VERIFIED).is_verified
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert {line[:1] for line in output.splitlines()} == {"#"}
    assert (errors, process.returncode) == ("", 0)


def test_a_port_in_use_is_reported_in_one_line(gateway: SimulatedGateway) -> None:
    port = gateway.base_url.rpartition(":")[2]
    result = run(None, "simulator", "--port", port)
    assert (result.exit_code, is_one_line(result.stderr)) == (1, True)
    assert f"port {port} on 127.0.0.1: Address already in use. Choose another port with --port." in result.stderr


@pytest.mark.parametrize(
    "arguments", ["--help", f"check --json {VERIFIED}", f"check {VERIFIED}"], ids=["help", "JSON", "line"]
)
def test_a_pipe_that_is_closed_early_leaves_no_traceback(gateway: SimulatedGateway, arguments: str) -> None:
    command = ["/bin/sh", "-c", f"{PROGRAM} {arguments} | true"]
    result = subprocess.run(command, env=gateway.environ, check=False, capture_output=True, text=True)
    assert result.stderr == ""


def test_a_full_disk_is_reported_in_one_line(gateway: SimulatedGateway) -> None:
    with Path("/dev/full").open("w") as full:
        process = start(gateway, "check", "--json", VERIFIED, stdout=full)
        _, errors = process.communicate()
    assert (process.returncode, is_one_line(errors)) == (1, True)
    assert "No space left on device" in errors


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str) -> None:
    words = {"COMP_WORDS": "wonder-payment do", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "wonder-payment do"}
    environ = {"_WONDER_PAYMENT_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args", **words}
    offered = subprocess.run([PROGRAM], env=environ, check=False, capture_output=True, text=True).stdout
    assert "doctor" in offered


@pytest.mark.parametrize("command", [[PROGRAM], [sys.executable, "-m", "wonder_payment"]], ids=["script", "module"])
def test_the_command_is_installed(command: list[str]) -> None:
    result = subprocess.run([*command, "--help"], check=True, capture_output=True, text=True)
    assert "WONDER_PRIVATE_KEY_FILE" in result.stdout


@pytest.mark.parametrize(
    ("missing", "command", "expected"),
    [
        ("typer", "check", "wonder-payment[cli]"),
        ("rich", "check", "wonder-payment[cli]"),
        ("starlette", "demo", "wonder-payment[simulator]"),
        ("uvicorn", "simulator", "wonder-payment[simulator]"),
        ("starlette", "--help", None),
    ],
)
def test_a_missing_extra_is_reported_when_a_command_needs_it(missing: str, command: str, expected: str | None) -> None:
    code = f"import sys; sys.argv = ['wonder-payment', '{command}']; sys.modules['{missing}'] = None"
    code += "; from wonder_payment.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert result.returncode == (1 if expected else 0)
    assert result.stderr == "" if expected is None else is_one_line(result.stderr)
    assert expected is None or f"pip install '{expected}'" in result.stderr


def test_a_missing_module_of_no_extra_propagates_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wonder_payment.cli", None)
    with pytest.raises(ModuleNotFoundError, match=r"wonder_payment\.cli"):
        __main__.main()
