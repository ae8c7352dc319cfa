"""`wonder-payment batch` as a process: signals, pipes and terminals."""

import ctypes
import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest
from arrivals import Arrivals
from commands import (
    ALIPAY,
    FAILED,
    PROGRAM,
    PROGRAMS,
    VERIFIED,
    add_verified,
    checked,
    is_one_line,
    lines,
    read_terminal,
    run,
    start,
    summary,
    write,
)
from wonder_payment.simulator import Fault, SimulatedGateway


def wait_for_lines(output: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until a process has written this many lines to a file; fail if it ends before."""
    command = ["tail", "-n", "+1", "-F", f"--pid={process.pid}", output]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tail:
        assert tail.stdout
        assert all(tail.stdout.readline() for _ in range(count))
        tail.terminate()


@PROGRAMS
@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (signal.SIGINT, 130, "Run the same command again to continue."),
        (signal.SIGTERM, 130, "Run the same command again to continue."),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_a_signal_loses_no_result_and_the_same_command_continues(
    gateway: SimulatedGateway,
    arrivals: Arrivals,
    source: Path,
    tmp_path: Path,
    number: int,
    status: int,
    message: str,
    program: list[str],
) -> None:
    output = tmp_path / "results.jsonl"
    tokens = add_verified(gateway, 60)
    write(source, tokens)
    for token in tokens[30:34]:
        gateway.inject(Fault(delay=float("inf")), token=token)  # requests in flight do not delay the end
    process = start(gateway, "batch", source, "--output", output, "--concurrency", 4, program=program)
    arrivals.wait_until(lambda requests: len(requests) == 34)
    wait_for_lines(output, 30, process)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=60)
    expected = message and f"{summary(30, 0, 0, 0).replace('results:', 'stopped; results so far:')} {message}\n"
    assert (process.returncode, printed, errors) == (status, "", expected)
    finished = {line["token_id"] for line in lines(output)}
    assert finished == set(tokens[:30])
    result = run(gateway, "batch", source, "--output", output, "--concurrency", 4)
    assert (result.exit_code, result.output) == (0, summary(60, 0, 0, 0) + "\n")
    assert sorted(line["token_id"] for line in lines(output)) == sorted(tokens)
    assert not finished & set(checked(gateway)[34:])


def test_a_result_does_not_wait_for_the_next_line_of_stdin_and_a_signal_ends_the_wait(
    gateway: SimulatedGateway,
) -> None:
    process = start(gateway, "batch", "-")
    assert process.stdin
    assert process.stdout
    for token in (VERIFIED, FAILED):
        process.stdin.write(f"{token}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["token_id"] == token
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130  # before stdin is closed
    counts = "stopped; results so far: verified 1, pending 0, failed 1, errors 0."
    message = f"{counts} Use --output FILE to be able to continue a run."
    assert process.communicate() == ("", f"wonder-payment: {message}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_in_the_thread_that_reads_an_idle_stdin_ends_the_run(gateway: SimulatedGateway, number: int) -> None:
    process = start(gateway, "batch", "-")
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{VERIFIED}\n")
    process.stdin.flush()
    process.stdout.readline()
    threads = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()]
    assert max(threads) != process.pid
    ctypes.CDLL(None).tgkill(process.pid, max(threads), number)  # the system may choose any thread
    assert process.wait(timeout=60) == 130
    process.communicate()


@pytest.mark.parametrize("kind", ["stdin", "named pipe"])
def test_a_source_that_can_be_read_only_once_is_read_once(gateway: SimulatedGateway, tmp_path: Path, kind: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start(gateway, "batch", "-" if kind == "stdin" else pipe, "--column", "token")
    content = f"id,token\n1,{VERIFIED}\n"
    if kind != "stdin":
        pipe.write_text(content)
    printed, errors = process.communicate(content if kind == "stdin" else None)
    assert ([line["token_id"] for line in lines(printed)], process.returncode) == ([VERIFIED], 0)
    assert errors == summary(1, 0, 0, 0) + "\n"


@pytest.mark.parametrize("is_counted", [True, False], ids=["file", "stdin"])
def test_a_terminal_shows_count_rate_and_time_and_a_file_gets_the_lines(
    gateway: SimulatedGateway, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_counted: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    results = tmp_path / "results.jsonl"
    tokens = add_verified(gateway, 24)
    write(source, [*tokens, tokens[0], "", ALIPAY])
    leader, follower = pty.openpty()
    arguments = ["batch", source if is_counted else "-", "--concurrency", 2]
    with source.open() as file, results.open("w") as stdout:
        process = start(gateway, *arguments, stdin=file, stdout=stdout, stderr=follower)
        os.close(follower)
        shown = read_terminal(leader)
    assert (process.wait(), len(lines(results))) == (0, 25)
    assert "25/25" in shown
    totals = re.findall(r"\d+/ *(\?|\d+)", shown.partition("25/25")[0])
    assert set(totals) <= {"?", "25"}  # it does not jump
    assert (totals[-1] == "25") == is_counted
    assert re.search(r"[1-9]\d*/s", shown.rpartition("25/25")[2])  # in the last line, too
    assert re.search(r"\d:\d\d:\d\d", shown)
    assert '"token_id"' not in shown


def test_a_terminal_shows_no_bar_if_a_pipe_gets_the_lines(
    gateway: SimulatedGateway, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    write(source, add_verified(gateway, 2))
    leader, follower = pty.openpty()
    process = start(gateway, "batch", source, stderr=follower)
    os.close(follower)
    assert read_terminal(leader).split("\r\n") == [summary(2, 0, 0, 0), ""]
    printed, _ = process.communicate()
    assert (process.returncode, len(lines(printed))) == (0, 2)


def test_a_terminal_that_shows_both_shows_whole_lines(
    gateway: SimulatedGateway, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    tokens = add_verified(gateway, 5)
    write(source, tokens)
    leader, follower = pty.openpty()
    process = start(gateway, "batch", source, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower)
    os.close(follower)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read_terminal(leader))
    assert process.wait() == 0
    found = [json.loads(line) for line in re.findall(r"\{.*\}", shown)]
    assert sorted(line["token_id"] for line in found) == sorted(tokens)


def test_a_pipe_that_is_closed_early_leaves_no_traceback(gateway: SimulatedGateway, source: Path) -> None:
    write(source, add_verified(gateway, 50))
    command = ["/bin/sh", "-c", f"{PROGRAM} batch {source} | head -n 1"]
    result = subprocess.run(command, env=gateway.environ, check=False, capture_output=True, text=True)
    assert (len(lines(result.stdout)), result.stderr) == (1, "")


def test_a_full_disk_is_reported_in_one_line(gateway: SimulatedGateway, source: Path) -> None:
    write(source, add_verified(gateway, 5))
    with Path("/dev/full").open("w") as full:
        process = start(gateway, "batch", source, stdout=full)
        _, errors = process.communicate()
    assert (process.returncode, is_one_line(errors)) == (1, True)
    assert "No space left on device" in errors


def test_an_impossible_output_is_reported_in_one_line(gateway: SimulatedGateway, source: Path) -> None:
    write(source, add_verified(gateway, 5))
    process = start(gateway, "batch", source, "--output", source / "below")
    printed, errors = process.communicate()
    assert (process.returncode, printed, is_one_line(errors), gateway.requests) == (1, "", True, [])
