"""The plain script, as a program."""

import os
import subprocess
import sys

import pytest
from examples.programs import EXAMPLES, LONG_FINAL_POLL
from wonder_payment.simulator import Fault, SimulatedGateway

# Runs the script on a clock that advances only by sleeps, which take no time.
RUN = f"""
import runpy, time
import wonder_payment._flow

now, slept = time.monotonic(), []
time.monotonic = lambda: now + sum(slept)
time.sleep = slept.append
vars(wonder_payment._flow).update({LONG_FINAL_POLL})
runpy.run_path({str(EXAMPLES / "plain_script.py")!r}, run_name="__main__")
"""


def run(gateway: SimulatedGateway, token: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *options],
        check=False,
        env={**os.environ, **gateway.environ, **environ},
        input=f"{token}\n",
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_verified_token_is_charged(gateway: SimulatedGateway) -> None:
    token = gateway.add_token(states=["pending", "success"])
    result = run(gateway, token)
    assert (result.returncode, result.stdout) == (0, "")
    logged = [line.split(" INFO charge: ")[1] for line in result.stderr.splitlines()]
    name = f"…{token[-4:]}"
    assert logged == [f"{name} is pending", f"{name} is success", f"{name} may be charged"]


def test_the_reason_is_printed_if_3_d_secure_failed(gateway: SimulatedGateway) -> None:
    result = run(gateway, gateway.add_token(states=["failed"], error_code="E1", error_message="Declined."))
    assert (result.returncode, result.stderr.splitlines()[-1]) == (4, "3-D Secure failed: E1 Declined.")


def test_the_wait_ends_at_its_timeout(gateway: SimulatedGateway) -> None:
    result = run(gateway, gateway.add_token(), "--timeout", "10")
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 3
    assert last.startswith("Timed out after ")
    assert gateway.requests[-1].request_id in last


def test_the_log_shows_the_retries(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=502))
    result = run(gateway, gateway.add_token(states=["success"]))
    assert result.returncode == 0
    assert " WARNING wonder_payment: attempt 1: HTTP 502" in result.stderr


@pytest.mark.parametrize(
    ("token", "environ", "error"),
    [
        ("4111111111111111", {}, "InvalidTokenError: "),
        ("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", {}, "NotFoundError: "),
        ("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", {"WONDER_APP_ID": ""}, "ConfigurationError: "),
    ],
    ids=["invalid", "unknown", "no settings"],
)
def test_an_error_is_one_line(gateway: SimulatedGateway, token: str, environ: dict[str, str], error: str) -> None:
    result = run(gateway, token, **environ)
    (line,) = result.stderr.splitlines()
    assert (result.returncode, line.startswith(error)) == (1, True)
    assert token not in line
