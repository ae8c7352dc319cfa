"""No secret or cardholder name in what a client shows, logs, raises or sends in a URL."""

import json
import os
import re
import subprocess
import sys
from uuid import UUID

import attrs
import pytest
from conftest import Caller, Clock
from crashes import NUMBER, crash_report, leaks
from crashes import SECRET_TOKEN as TOKEN
from faults.endings import DASHED, DOTTED, ENDINGS, SPACED, Ending, StopHere, error_body
from faults.secrets_shown import assert_cleared, call, client_of, logged, pickled, secrets_of
from wonder_payment import NotFoundError, PaymentToken, PollPolicy, WonderError
from wonder_payment.simulator import Fault, SimulatedGateway

# How a call ends


@pytest.mark.parametrize(
    ("method", "ending"),
    [
        *(pytest.param("check_token", ending, id=f"check: {name}") for name, ending in ENDINGS.items()),
        # The other waits end like their checks.
        *(
            pytest.param("wait_for_token", ending, id=f"wait: {name}")
            for name, ending in ENDINGS.items()
            if ending.wait is not ending.check
        ),
    ],
)
def test_nothing_secret_is_shown_logged_raised_or_sent_in_a_url(
    caller: Caller,
    gateway: SimulatedGateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ending: Ending,
    method: str,
) -> None:
    Clock(monkeypatch, is_still=not ending.times_out)
    if not ending.times_out:
        gateway.inject(Fault(status=503, body=f"{TOKEN} {NUMBER}"))
    if ending.fault:
        gateway.inject(ending.fault)
    is_wait = method == "wait_for_token"
    seconds = 0.3 if ending.times_out else 30.0
    poll = PollPolicy(interval_initial=10.0, interval_max=10.0)
    options = {"timeout": seconds, "poll": poll} | ending.options if is_wait else {}
    client = client_of(caller, gateway, **ending.settings)
    shown: list[str] = []
    result: PaymentToken | BaseException
    with caplog.at_level(1, "wonder_payment"):
        try:
            result = call(client, method, ending.token, shown, is_closed=ending.is_closed, **options)
        except (WonderError, StopHere) as error:
            result = error
    expected = ending.wait if is_wait else ending.check
    assert isinstance(result, expected or PaymentToken)
    if isinstance(result, BaseException):
        assert_cleared(result)
        shown += [*crash_report(result), *pickled(result)]
    shown += [repr(result), str(result), *logged(caplog), *(request.verdict.uri for request in gateway.requests)]
    assert leaks(secrets_of(gateway), shown) == {}
    # The test would also pass if nothing was shown.
    assert type(client).__name__ in "".join(shown)
    if ending.times_out:
        assert "attempt 1: RequestTimeoutError" in "".join(shown)
    else:
        assert not gateway.requests or "attempt 1: HTTP 503" in "".join(shown)
        assert ending.fault is None or "attempt 2" in "".join(shown)


def test_the_tracebacks_that_a_program_prints_have_no_secret(gateway: SimulatedGateway) -> None:
    endings = ["404", "no JSON", "another token", "truncated"]
    for ending in endings:
        fault = ENDINGS[ending].fault
        assert fault
        gateway.inject(attrs.evolve(fault, times=4 if fault.broken else 1))
    # As the interpreter does at its end.
    program = f"""
import sys, time, wonder_payment
time.sleep = lambda seconds: None
for _ in range({len(endings)}):
    try:
        wonder_payment.check_token("{TOKEN}")
    except wonder_payment.WonderError:
        sys.excepthook(*sys.exc_info())
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **gateway.environ},
        check=True,
        capture_output=True,
        text=True,
    )
    printed = re.findall(r"^wonder_payment\.errors\.(\w+)", result.stderr, re.MULTILINE)
    assert printed == ["NotFoundError", "InvalidResponseError", "InvalidResponseError", "NetworkError"]
    # Python 3.13 and newer quote the lines of the program.
    quoted = {line.strip() for line in program.splitlines()}
    shown = [line for line in result.stderr.splitlines() if line.strip() not in quoted]
    assert leaks(secrets_of(gateway), [*shown, result.stdout]) == {}


# The gateway's messages


MESSAGES = {
    "token": f"no token {TOKEN} here",
    "token in upper case": f"no token {TOKEN.upper()} here",
    "token without dashes": f"no token {TOKEN.replace('-', '')} here",
    "token's repr": f"no token {UUID(TOKEN)!r} here",
    "token percent-encoded": f"no token {TOKEN.replace('-', '%2D')} here",
    "token percent-encoded in lower case": f"no token {TOKEN.replace('-', '%2d')} here",
    "token in a URL": f"no token https://gateway.example/tokens/{TOKEN}?a=b here",
    "token in a URN": f"no token {UUID(TOKEN).urn} here",
    "card number": f"no card {NUMBER} here",
    "card number with dots": f"no card {DOTTED} here",
    "card number with spaces": f"no card {SPACED} here",
    "card number with dashes": f"no card {DASHED} here",
    "card number between others": f"no card 1,{NUMBER},2 here",
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_secrets_are_cut_out_of_the_gateways_message_and_the_rest_is_kept(
    caller: Caller, gateway: SimulatedGateway, message: str
) -> None:
    gateway.inject(Fault(status=404, body=json.dumps(error_body(message))))
    with pytest.raises(NotFoundError) as caught:
        caller.check(TOKEN)
    shown = [str(caught.value), repr(caught.value), str(caught.value.message)]
    assert leaks(secrets_of(gateway), shown) == {}
    assert re.fullmatch(r"no (token|card) .*….* here", str(caught.value.message))
    assert f"HTTP 404, code E000404: {caught.value.message}." in str(caught.value)
