"""wonder-payment sweep: many tokens on the command line, stopped and gone on with."""

import contextlib
import csv
import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from arrivals import Arrivals
from typer.testing import CliRunner, Result
from wonder_payment.cli import app
from wonder_payment.simulator import WELL_KNOWN, Fault, SimulatedGateway

PROGRAM = str(Path(sys.executable).with_name("wonder-payment"))
VERIFIED, FAILED, ALIPAY = (WELL_KNOWN[number].token for number in (0, 1, 4))
UNKNOWN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
ALWAYS = 10**9
A_LONG_TIME = 30.0


def run(gateway: SimulatedGateway, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["sweep", *map(str, arguments)], env=gateway.environ)


def start(gateway: SimulatedGateway, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
    environ = {**os.environ, **gateway.environ}
    return subprocess.Popen([PROGRAM, "sweep", *map(str, arguments)], env=environ, text=True, **pipes)


def lines(text: str | Path) -> list[Any]:
    read = text.read_text() if isinstance(text, Path) else text
    assert read == "" or read.endswith("\n")
    return [json.loads(line) for line in read.splitlines()]


def good(gateway: SimulatedGateway, count: int) -> list[str]:
    return [gateway.add_token(states=["success"]) for _ in range(count)]


def asked(gateway: SimulatedGateway) -> list[str]:
    return [str(request.token) for request in gateway.requests]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "tokens.txt"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def write(path: Path, tokens: Iterable[str]) -> None:
    path.write_text("\n".join(tokens) + "\n")


def test_each_token_of_a_file_becomes_a_line_of_json(gateway: SimulatedGateway, source: Path) -> None:
    source.write_text(f"\n  {VERIFIED}\t\r\n\n{FAILED}\n   \n{ALIPAY}")
    result = run(gateway, source)
    assert (result.exit_code, result.stderr) == (0, "")
    answers = {line["token_id"]: line for line in lines(result.stdout)}
    request_ids = {str(request.token): request.request_id for request in gateway.requests}
    verified = {
        "token_id": VERIFIED,
        "state": "success",
        "is_verified": True,
        "token_type": "CreditCard",
        "is_default": False,
        "error_code": None,
        "error_message": None,
        "card": {"brand": "visa", "last4": "1111", "expires_on": "2030-12-31"},
        "request_id": request_ids[VERIFIED],
    }
    assert answers == {
        VERIFIED: verified,
        FAILED: verified
        | {
            "token_id": FAILED,
            "state": "failed",
            "is_verified": False,
            "error_code": "SIM_3DS_DECLINED",
            "error_message": "The simulated card holder did not pass 3-D Secure.",
            "request_id": request_ids[FAILED],
        },
        ALIPAY: verified
        | {"token_id": ALIPAY, "token_type": "AlipayAutoDebit", "card": None, "request_id": request_ids[ALIPAY]},
    }
    assert list(answers[FAILED]) == list(verified)


def test_a_card_without_a_brand_or_an_expiry_has_none(gateway: SimulatedGateway, source: Path) -> None:
    write(source, [gateway.add_token(states=["success"], card={"number": None, "brand": None})])
    (line,) = lines(run(gateway, source).stdout)
    assert line["card"] == {"brand": None, "last4": None, "expires_on": None}


def test_no_card_number_and_no_holder_is_written(gateway: SimulatedGateway, source: Path) -> None:
    number, holder = "4111111111111111", "SAM SAMPLE"
    card = {"number": number, "holder_name": holder, "brand": f"visa {number}"}
    tokens = [
        gateway.add_token(
            states=[state], token_type=f"Card {number}", card=card, error_code=number, error_message=number
        )
        for state in ("success", "failed", f"state {number}")
    ]
    write(source, [*tokens, number])
    result = run(gateway, source)
    assert len(lines(result.stdout)) == 4
    assert number not in result.output
    assert holder not in result.output


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_column_of_a_csv_has_the_tokens(gateway: SimulatedGateway, source: Path, encoding: str) -> None:
    with source.open("w", encoding=encoding, newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["token", "née"])
        rows.writerows([[f" {VERIFIED} ", 'two\nlines, "quoted"'], ["", "blank"], [], [FAILED, UNKNOWN], [ALIPAY]])
    result = run(gateway, source, "--column", "token")
    assert result.exit_code == 0
    assert {line["token_id"] for line in lines(result.stdout)} == {VERIFIED, FAILED, ALIPAY}
    assert len(gateway.requests) == 3


def test_a_token_that_comes_twice_is_asked_once(gateway: SimulatedGateway, source: Path) -> None:
    (token,) = good(gateway, 1)
    write(source, [token, UNKNOWN, token.upper(), UNKNOWN, token])
    result = run(gateway, source)
    assert sorted(asked(gateway)) == sorted([token, UNKNOWN])
    assert len(lines(result.stdout)) == 2


def test_a_token_that_could_not_be_asked_has_its_error(gateway: SimulatedGateway, source: Path) -> None:
    gateway.inject(Fault(status=403), token=FAILED)
    write(source, [VERIFIED, UNKNOWN, "4111111111111111", FAILED, "caf\x00é"])
    result = run(gateway, source)
    assert result.exit_code == 1
    assert re.fullmatch(r"wonder-payment: failed to be asked: 4; answered: 1\. With --output .*\n", result.stderr)
    errors = {line["token_id"]: line["error"] for line in lines(result.stdout) if "error" in line}
    request_ids = {str(request.token): request.request_id for request in gateway.requests}
    assert {token: error["type"] for token, error in errors.items()} == {
        UNKNOWN: "NotFoundError",
        FAILED: "AuthenticationError",
        "…1111": "InvalidTokenError",
        "café": "InvalidTokenError",
    }
    assert set(errors[UNKNOWN]) == {"type", "message", "request_id"}
    assert errors[UNKNOWN]["message"].startswith("The gateway answered HTTP 404")
    assert errors[UNKNOWN]["request_id"] == request_ids[UNKNOWN]
    assert errors["…1111"]["request_id"] is None


def test_what_is_no_text_is_no_token(gateway: SimulatedGateway, source: Path) -> None:
    source.write_bytes(b"\xff\xfe\x00" + VERIFIED.encode() + b"\n" + VERIFIED.encode())
    result = run(gateway, source)
    assert result.exit_code == 1
    assert asked(gateway) == [VERIFIED]


def test_the_customer_is_named(gateway: SimulatedGateway, source: Path) -> None:
    write(source, [VERIFIED])
    run(gateway, source, "--customer-uuid", UNKNOWN)
    assert gateway.requests[0].customer_uuid == UNKNOWN


def test_a_file_without_tokens_is_done_at_once(gateway: SimulatedGateway, source: Path) -> None:
    source.touch()
    result = run(gateway, source)
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing.txt"], "does not exist"),
        (["."], "is a directory"),
        ([], "Missing argument"),
        (["tokens.txt", "--column", "token"], "There is no column token. The columns are: id, card …1111."),
        (["tokens.txt", "--concurrency", "0"], "--concurrency"),
        (["tokens.txt", "--customer-uuid", "x"], "customer_uuid must be a UUID"),
        (["tokens.txt", "--output", "."], "is a directory"),
    ],
)
def test_what_can_not_be_used_is_told(
    gateway: SimulatedGateway, source: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(source.parent)
    source.write_text(f"id,card 4111111111111111\n{VERIFIED},\n")
    result = run(gateway, *arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert gateway.requests == []


def test_an_empty_csv_has_no_column(gateway: SimulatedGateway, source: Path) -> None:
    source.touch()
    result = run(gateway, source, "--column", "token")
    assert (result.exit_code, result.stderr) == (
        2,
        "wonder-payment: There is no column token. The columns are: none.\n",
    )


def test_a_csv_that_is_none_is_told(gateway: SimulatedGateway, source: Path) -> None:
    source.write_text("token\n" + "x" * 200_000)
    result = run(gateway, source, "--column", "token")
    assert result.exit_code == 2
    assert result.stderr.startswith("wonder-payment: This is no CSV: field larger than field limit")


def test_missing_settings_are_one_line(source: Path) -> None:
    write(source, [VERIFIED])
    result = CliRunner().invoke(app, ["sweep", str(source)], env={"WONDER_APP_ID": "app"})
    assert result.exit_code == 1
    assert result.stderr.startswith("wonder-payment: ")
    assert "WONDER_PRIVATE_KEY" in result.stderr
    assert result.stderr.count("\n") == 1


# Stopped and gone on with


def test_an_output_is_gone_on_with(gateway: SimulatedGateway, source: Path, output: Path) -> None:
    tokens = good(gateway, 6)
    gateway.inject(Fault(status=404, times=1), token=tokens[1])
    write(source, tokens[:3])
    first = run(gateway, source, "--output", output)
    assert (first.exit_code, first.stdout) == (1, "")
    assert "The same command asks for the rest again." in first.stderr
    before = output.read_bytes()
    write(source, [*tokens[:3], tokens[0].upper(), *tokens[3:]])
    second = run(gateway, source, "--output", output)
    assert (second.exit_code, second.output) == (0, "")
    assert Counter(asked(gateway)) == Counter([*tokens, tokens[1]])
    assert output.read_bytes().startswith(before)
    answered = [line["token_id"] for line in lines(output) if "error" not in line]
    assert sorted(answered) == sorted(tokens)
    third = run(gateway, source, "--output", output)
    assert (third.exit_code, len(gateway.requests)) == (0, 7)


@pytest.mark.parametrize("length", [1, 5, 20, 200])
def test_a_line_torn_by_a_kill_is_dropped_and_asked_again(
    gateway: SimulatedGateway, source: Path, output: Path, length: int
) -> None:
    tokens = good(gateway, 3)
    write(source, tokens)
    run(gateway, source, "--output", output, "--concurrency", 1)
    whole = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(b"".join(whole[:-1]) + whole[-1][:length])
    run(gateway, source, "--output", output)
    assert [line["token_id"] for line in lines(output)] == tokens
    assert asked(gateway) == [*tokens, tokens[-1]]


@pytest.mark.parametrize("content", ["token,card\n", f"{VERIFIED}\n", "{}\n", "x", "\n", '{"token":'])
def test_a_file_that_is_no_output_of_a_sweep_is_left_alone(
    gateway: SimulatedGateway, source: Path, output: Path, content: str
) -> None:
    write(source, [VERIFIED])
    output.write_text(content)
    result = run(gateway, source, "--output", output)
    assert result.exit_code == 2
    assert "name another file" in result.stderr
    assert output.read_text() == content
    assert gateway.requests == []


def test_the_source_is_no_output(gateway: SimulatedGateway, source: Path) -> None:
    write(source, [VERIFIED])
    assert run(gateway, source, "--output", source).exit_code == 2
    assert source.read_text() == f"{VERIFIED}\n"


def test_a_line_that_nobody_can_read_is_asked_again(gateway: SimulatedGateway, source: Path, output: Path) -> None:
    output.write_text('{"token_id": "' + VERIFIED + '", sta\n{"token_id": "x"}\n{"token_id": "y"} z\n')
    write(source, [VERIFIED])
    assert run(gateway, source, "--output", output).exit_code == 0
    assert asked(gateway) == [VERIFIED]


def test_no_other_user_may_read_the_output(gateway: SimulatedGateway, source: Path, output: Path) -> None:
    write(source, [VERIFIED])
    run(gateway, source, "--output", output)
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


def wait_for_lines(output: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until a process has written so many lines to a file; fail if it ends before."""
    command = ["tail", "-n", "+1", "-F", f"--pid={process.pid}", output]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tail:
        assert tail.stdout
        assert all(tail.stdout.readline() for _ in range(count))
        tail.terminate()


def test_a_kill_loses_no_answer_that_was_written_and_asks_for_none_twice(
    gateway: SimulatedGateway, arrivals: Arrivals, source: Path, output: Path
) -> None:
    tokens = good(gateway, 120)
    write(source, tokens)
    gateway.inject(Fault(delay=0.05, times=ALWAYS))
    process = start(gateway, source, "--output", output, "--concurrency", 4)
    arrivals.wait_until(lambda requests: len(requests) >= 30)
    process.kill()
    process.communicate()
    finished = [line["token_id"] for line in lines(output.read_text().rpartition("\n")[0] + "\n")]
    assert 20 <= len(finished) < 120
    # What was asked and has no line was under way.
    assert len(set(asked(gateway)) - set(finished)) <= 4 + 4
    before = len(gateway.requests)
    result = run(gateway, source, "--output", output)
    assert (result.exit_code, result.output) == (0, "")
    assert sorted(line["token_id"] for line in lines(output)) == sorted(tokens)
    assert not set(finished) & set(asked(gateway)[before:])
    assert len(asked(gateway)) == before + 120 - len(finished)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_the_same_command_goes_on(
    gateway: SimulatedGateway, arrivals: Arrivals, source: Path, output: Path, number: int
) -> None:
    tokens = good(gateway, 60)
    write(source, tokens)
    for token in tokens[30:34]:
        gateway.inject(Fault(delay=float("inf")), token=token)  # what hangs is not waited for
    process = start(gateway, source, "--output", output, "--concurrency", 4)
    arrivals.wait_until(lambda requests: len(requests) == 34)
    wait_for_lines(output, 30, process)
    began = time.monotonic()
    process.send_signal(number)
    printed, told = process.communicate()
    assert time.monotonic() - began < 5.0
    assert (process.returncode, printed) == (130, "")
    assert told == "wonder-payment: stopped. Answered so far: 30. The same command goes on from there.\n"
    finished = set(asked(gateway)[:30])
    assert {line["token_id"] for line in lines(output)} == finished
    result = run(gateway, source, "--output", output, "--concurrency", 4)
    assert (result.exit_code, result.output) == (0, "")
    assert sorted(line["token_id"] for line in lines(output)) == sorted(tokens)
    assert not finished & set(asked(gateway)[34:])


# Terminals and pipes


def test_an_answer_does_not_wait_for_the_next_line_of_stdin(gateway: SimulatedGateway) -> None:
    process = start(gateway, "-")
    assert process.stdin
    assert process.stdout
    for token in (VERIFIED, FAILED):
        process.stdin.write(f"{token}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["token_id"] == token
    assert process.communicate() == ("", "")
    assert process.returncode == 0


def test_a_signal_stops_it_while_it_waits_for_stdin(gateway: SimulatedGateway) -> None:
    process = start(gateway, "-")
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{VERIFIED}\n")
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=A_LONG_TIME) == 130
    assert process.stderr
    assert process.stderr.read() == (
        "wonder-payment: stopped. Answered so far: 1. With --output FILE, the same command goes on from there.\n"
    )
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()


def test_a_column_is_read_from_stdin(gateway: SimulatedGateway) -> None:
    process = start(gateway, "-", "--column", "token")
    printed, told = process.communicate(f"id,token\n1,{VERIFIED}\n")
    assert ([line["token_id"] for line in lines(printed)], told) == ([VERIFIED], "")


def test_a_named_pipe_is_read_once(gateway: SimulatedGateway, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start(gateway, pipe)
    write(pipe, [VERIFIED])
    printed, told = process.communicate()
    assert ([line["token_id"] for line in lines(printed)], told) == ([VERIFIED], "")


def read_terminal(leader: int) -> str:
    shown = b""
    with contextlib.suppress(OSError):  # how Linux tells that the other side is closed
        while piece := os.read(leader, 65536):
            shown += piece
    os.close(leader)
    return shown.decode()


@pytest.mark.parametrize("is_counted", [True, False])
def test_a_terminal_sees_count_rate_and_end_and_a_pipe_the_lines(
    gateway: SimulatedGateway, source: Path, monkeypatch: pytest.MonkeyPatch, *, is_counted: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    tokens = good(gateway, 24)
    write(source, [*tokens, tokens[0], "", ALIPAY])
    gateway.inject(Fault(delay=0.1, times=ALWAYS))
    leader, follower = pty.openpty()
    with source.open() as file:
        process = start(gateway, source if is_counted else "-", "--concurrency", 2, stdin=file, stderr=follower)
        os.close(follower)
        shown = read_terminal(leader)
        printed, _ = process.communicate()
    assert process.returncode == 0
    assert len(lines(printed)) == 25
    assert "25/25" in shown
    assert ("/26" in shown) == is_counted  # until the duplicate is met
    assert ("/?" in shown) == (not is_counted)
    assert re.search(r"[1-9]\d*/s", shown)
    assert (re.search(r"(?!0:00:00)\d:\d\d:\d\d", shown) is not None) or not is_counted
    assert '"token_id"' not in shown


def test_a_terminal_that_sees_both_sees_whole_lines(
    gateway: SimulatedGateway, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    tokens = good(gateway, 5)
    write(source, tokens)
    leader, follower = pty.openpty()
    process = start(gateway, source, stdout=follower, stderr=follower)
    os.close(follower)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read_terminal(leader))
    assert process.wait() == 0
    found = [json.loads(line) for line in re.findall(r"\{.*\}", shown)]
    assert sorted(line["token_id"] for line in found) == sorted(tokens)
    assert process.stdin
    process.stdin.close()


def test_a_pipe_that_is_closed_early_leaves_no_traceback(gateway: SimulatedGateway, source: Path) -> None:
    write(source, good(gateway, 50))
    command = ["/bin/sh", "-c", f"{PROGRAM} sweep {source} | head -n 1"]
    result = subprocess.run(command, env=gateway.environ, check=False, capture_output=True, text=True)
    assert len(lines(result.stdout)) == 1
    assert result.stderr == ""


def test_a_full_disk_is_told_in_one_line(gateway: SimulatedGateway, source: Path) -> None:
    write(source, good(gateway, 5))
    with Path("/dev/full").open("w") as full:
        process = start(gateway, source, stdout=full)
        _, told = process.communicate()
    assert process.returncode == 1
    assert told.startswith("wonder-payment: ")
    assert "No space left on device" in told
    assert told.count("\n") == 1


def test_an_output_where_no_file_can_be_is_told_in_one_line(gateway: SimulatedGateway, source: Path) -> None:
    write(source, good(gateway, 5))
    process = start(gateway, source, "--output", source / "below" / "a file")
    printed, told = process.communicate()
    assert (process.returncode, printed, told.count("\n")) == (1, "", 1)
    assert gateway.requests == []
