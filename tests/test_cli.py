"""The command line, as typed."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Clock
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from typer.testing import CliRunner, Result
from wonder_payment import WonderClient
from wonder_payment.cli import app
from wonder_payment.simulator import WELL_KNOWN, Fault, SimulatedGateway

PROGRAM = str(Path(sys.executable).with_name("wonder-payment"))
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


def test_the_demo_tells_the_whole_story_in_under_10_seconds(clock: Clock) -> None:
    result = run(None, "demo")
    assert result.exit_code == 0
    looks = re.findall(r"^ *[0-9.]+ s  \S (\w+)", result.stdout, re.MULTILINE)
    assert looks[:7] == ["pending", "pending", "pending", "success", "pending", "failed", "success"]
    assert set(looks[7:]) == {"pending"}
    assert "wonder_payment: attempt 1: HTTP 502; again in" in result.stdout
    assert "wonder_payment: attempt 2: NetworkError; again in" in result.stdout
    assert "StillPendingError: 3-D Secure has not ended after" in result.stdout
    assert "each signed anew; 0 signatures were refused" in result.stdout
    assert 2.0 < sum(clock.slept) < 10.0


@pytest.mark.parametrize(("number", "status", "last"), [(3, 0, "✔ success"), (2, 4, "✘ failed"), (4, 3, "")])
def test_wait_prints_a_line_for_each_look_and_exits_with_the_state(
    gateway: SimulatedGateway, clock: Clock, number: int, status: int, last: str
) -> None:
    result = run(gateway, "wait", KNOWN[number], "--timeout", "5")
    lines = result.stdout.splitlines()
    assert result.exit_code == status
    assert all("s  … pending  CreditCard" in line for line in (lines[:-1] if last else lines))
    assert len(lines) == len(gateway.requests)
    assert (last in lines[-1], bool(result.stderr)) == (True, not last)
    assert len(clock.slept) == len(gateway.requests) - 1


def test_wait_prints_json_for_machines(gateway: SimulatedGateway, clock: Clock) -> None:
    done = run(gateway, "wait", "--json", KNOWN[3])
    assert (done.exit_code, json.loads(done.stdout)["state"]) == (0, "success")
    pending = run(gateway, "wait", "--json", KNOWN[4], "--timeout", "1")
    assert (pending.exit_code, json.loads(pending.stdout)["state"]) == (3, "pending")
    assert pending.stderr.startswith("wonder-payment: 3-D Secure has not ended")
    assert clock.slept


def test_wait_shows_a_live_line_on_a_terminal(gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    leader, follower = pty.openpty()
    environ = {"TERM": "xterm", "COLUMNS": "80", **gateway.environ}
    process = subprocess.Popen([PROGRAM, "wait", token], stdin=follower, stdout=follower, stderr=follower, env=environ)
    os.close(follower)
    output = b""
    with contextlib.suppress(OSError):  # how Linux tells that the other side is closed
        while piece := os.read(leader, 65536):
            output += piece
            if b"pending" in output and b"next look in" in output:
                gateway.approve(token)
    os.close(leader)
    assert process.wait() == 0
    assert "success" in output.decode().splitlines()[-1]


def signs(result: Result) -> str:
    return "".join(line[0] for line in result.stdout.splitlines())


def test_the_doctor_finds_a_sound_set_up_sound(gateway: SimulatedGateway) -> None:
    result = run(gateway, "doctor")
    assert (result.exit_code, signs(result)) == (0, "✔✔✔✔"), result.stdout
    assert "RSA, 2048 bits" in result.stdout
    assert "clock agrees" in result.stdout


@pytest.mark.parametrize(
    ("changed", "expected", "advice"),
    [
        ({"WONDER_APP_ID": "", "WONDER_PRIVATE_KEY": ""}, "✘", "Set WONDER_APP_ID, WONDER_PRIVATE_KEY"),
        ({"WONDER_BASE_URL": "http://gateway.example"}, "✘", "must be https"),
        ({"WONDER_PRIVATE_KEY": "garbage"}, "✔✘", "is no PEM"),
        ({"WONDER_PRIVATE_KEY_PASSPHRASE": "x"}, "✔✘", "give no passphrase"),
        ({"WONDER_PRIVATE_KEY": "weak"}, "✔✘", "only 1024 bits: make one of 2048"),
        ({"WONDER_PRIVATE_KEY": "another"}, "✔✔✔✘", "has the public half of this private key"),
        ({"WONDER_APP_ID": "another"}, "✔✔✔✘", "Check the app id"),
        ({"WONDER_BASE_URL": "http://127.0.0.1:1"}, "✔✔✘✘", "can't be reached"),
    ],
)
def test_the_doctor_says_what_to_do_about_what_is_wrong(
    gateway: SimulatedGateway, clock: Clock, changed: dict[str, str], expected: str, advice: str
) -> None:
    if bits := {"weak": 1024, "another": 2048}.get(changed.get("WONDER_PRIVATE_KEY", "")):
        key = generate_private_key(public_exponent=65537, key_size=bits)
        changed = {"WONDER_PRIVATE_KEY": SimulatedGateway(private_key=key).environ["WONDER_PRIVATE_KEY"]}
    result = CliRunner().invoke(app, ["doctor"], env=gateway.environ | changed)
    assert (result.exit_code, signs(result)) == (1, expected)
    assert advice in result.stdout
    assert sum(clock.slept) < 30.0


@pytest.mark.parametrize("status", [302, 400, 404, 405])
def test_the_doctor_takes_no_other_server_for_the_gateway(gateway: SimulatedGateway, status: int) -> None:
    gateway.inject(Fault(status=status, headers={"Content-Type": "text/html", "Location": "/"}))
    result = run(gateway, "doctor")
    assert (result.exit_code, signs(result)) == (1, "✔✔✔✘")


def test_the_doctor_asks_a_gateway_on_this_machine_through_no_proxy(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert signs(run(gateway, "doctor")) == "✔✔✔✔"


def test_the_doctor_crosses_a_proxy_that_cannot_be_used(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy.example")
    result = CliRunner().invoke(app, ["doctor"], env={**gateway.environ, "WONDER_BASE_URL": "https://gateway.example"})
    assert (result.exit_code, signs(result)) == (1, "✔✔✘✘")
    assert "Check the network, and any proxy." in result.stdout


def test_the_doctor_sees_a_clock_that_is_off(gateway: SimulatedGateway) -> None:
    gateway.clock_offset = 3600.0
    result = run(gateway, "doctor")
    # The signature is accepted all the same: the client makes up for the difference.
    assert (result.exit_code, signs(result)) == (1, "✔✔✘✔")
    assert "The clock is -60 minutes off" in result.stdout


def test_the_gateway_runs_until_it_is_stopped_and_prints_what_to_copy() -> None:
    process = subprocess.Popen([PROGRAM, "gateway"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if KNOWN[11] in line:
            break
    exports = [line.removeprefix("export ").rstrip("\n") for line in lines if line.startswith("export")]
    environ = {name: value.strip("'") for name, value in (export.split("=", 1) for export in exports)}
    with WonderClient.from_env(environ) as wonder:
        assert wonder.check_token(KNOWN[1]).is_verified
    assert environ["WONDER_BASE_URL"].startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert (process.returncode, output, errors) == (0, "# stopped\n", "")


@pytest.mark.parametrize("arguments", ["--help", f"check --json {KNOWN[1]}", f"check {KNOWN[1]}"])
def test_a_pipe_that_is_closed_early_leaves_no_traceback(gateway: SimulatedGateway, arguments: str) -> None:
    command = ["/bin/sh", "-c", f"{PROGRAM} {arguments} | true"]
    result = subprocess.run(command, env=gateway.environ, check=False, capture_output=True, text=True)
    assert result.stderr == ""


def test_ctrl_c_leaves_no_traceback(gateway: SimulatedGateway) -> None:
    process = subprocess.Popen(
        [PROGRAM, "wait", KNOWN[4]], env=gateway.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str) -> None:
    words = {"COMP_WORDS": "wonder-payment do", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "wonder-payment do"}
    environ = {"_WONDER_PAYMENT_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args", **words}
    offered = subprocess.run([PROGRAM], env=environ, check=False, capture_output=True, text=True).stdout
    assert "doctor" in offered


@pytest.mark.parametrize("command", [[PROGRAM], [sys.executable, "-m", "wonder_payment"]])
def test_the_command_is_installed(command: list[str]) -> None:
    result = subprocess.run([*command, "--help"], check=True, capture_output=True, text=True)
    assert "WONDER_PRIVATE_KEY_FILE" in result.stdout


def test_without_the_extras_the_command_says_how_to_install_them() -> None:
    hide = "import sys; sys.modules['typer'] = None; from wonder_payment.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", hide], check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert "pip install 'wonder-payment[cli,simulator]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_told_in_one_line(gateway: SimulatedGateway) -> None:
    port = gateway.base_url.rsplit(":", 1)[1]
    result = subprocess.run([PROGRAM, "gateway", "--port", port], check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert (
        result.stderr
        == f"wonder-payment: port {port} of 127.0.0.1: Address already in use. Choose another with --port.\n"
    )


def test_a_full_disk_is_told_in_one_line(gateway: SimulatedGateway) -> None:
    with Path("/dev/full").open("w") as full:
        command = [PROGRAM, "check", "--json", KNOWN[1]]
        result = subprocess.run(
            command, env=gateway.environ, check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["demo", "gateway"])
def test_without_the_simulators_extra_its_commands_say_how_to_install_it(command: str) -> None:
    hide = f"import sys; sys.argv = ['wonder-payment', '{command}']; sys.modules['starlette'] = None"
    code = f"{hide}; from wonder_payment.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert "pip install 'wonder-payment[cli,simulator]'" in result.stderr
    assert "Traceback" not in result.stderr
