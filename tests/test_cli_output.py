"""What the command line prints where: encodings, closed streams, and streams that are no terminal."""

import io
import os
import pty
import sys
from pathlib import Path

import pytest
from commands import CARD_NUMBER, FAILED, PENDING, PROGRAM, VERIFIED, is_one_line, read_terminal, start, summary
from conftest import Clock
from wonder_payment.__main__ import main
from wonder_payment.simulator import SimulatedGateway

# Encoding: the signs for verified and failed, and for what is cut off.
ENCODINGS = {
    "ascii": ("+", "x", "..."),
    "latin-1": ("+", "x", "..."),
    "cp1252": ("+", "x", "…"),
    "cp950": ("+", "x", "…"),
    "gbk": ("+", "x", "…"),
    "shift_jis": ("+", "x", "…"),
    "utf-8": ("✔", "✘", "…"),
}
CHINESE = "卡片被拒 😀"
IN_ENVIRONMENT = pytest.mark.usefixtures("in_environment")


class Printed:
    """What a command printed on streams of an encoding."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: object) -> None:
        streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        monkeypatch.setattr(sys, "argv", ["wonder-payment", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        self.status = ended.value.code or 0
        self.stdout, self.stderr = (self._text(stream) for stream in streams)

    @staticmethod
    def _text(stream: io.TextIOWrapper) -> str:
        stream.flush()
        content = stream.buffer
        content.seek(0)
        # typer writes its own messages in UTF-8 to an ASCII stream.
        return content.read().decode(stream.encoding, "replace")


@IN_ENVIRONMENT
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_signs_and_foreign_text_are_printed_in_each_encoding(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, clock: Clock, encoding: str
) -> None:
    verified, failed, cut = ENCODINGS[encoding]
    result = Printed(monkeypatch, encoding, "check", VERIFIED)
    assert (result.status, result.stdout[0], result.stderr) == (0, verified, "")
    assert f"  CreditCard {cut}0001  visa {cut}1111" in result.stdout
    token = gateway.add_token(states=["failed"], error_message=CHINESE, card={"brand": CHINESE})
    for command in ("check", "wait"):
        result = Printed(monkeypatch, encoding, command, token)
        assert (result.status, result.stdout[0]) == (4, failed)
        assert ("😀" if encoding == "utf-8" else "\\U0001f600") in result.stdout
        assert ("卡片被拒" in result.stdout) == (encoding in ("cp950", "gbk", "utf-8"))
    assert Printed(monkeypatch, encoding, "wait", PENDING, "--timeout", 2).status == 3
    assert clock.slept


@IN_ENVIRONMENT
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_command_ends_with_its_status_in_each_encoding(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, clock: Clock, tmp_path: Path, encoding: str
) -> None:
    source = tmp_path / "卡.csv"
    source.write_text(f"token\n{gateway.add_token(states=['failed'], error_message=CHINESE)}\n", "utf-8")
    commands: list[tuple[int, list[object]]] = [
        (0, ["--help"]),
        (0, ["doctor"]),
        (0, ["doctor", "--json"]),
        (0, ["demo"]),
        (0, ["batch", source, "--column", "token"]),
        (2, ["batch", source, "--column", "卡"]),
        (2, ["batch", f"{source}.old"]),
        (2, ["check", CHINESE]),
        (2, ["check", VERIFIED, CARD_NUMBER]),
    ]
    for status, arguments in commands:
        result = Printed(monkeypatch, encoding, *arguments)
        assert result.status == status, (arguments, result.stdout, result.stderr)
    assert clock.slept


@pytest.mark.parametrize(
    "environ",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "latin-1, strict", "C locale"],
)
def test_the_encoding_of_the_environment_is_used(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    process = start(gateway, "check", VERIFIED)
    printed, errors = process.communicate()
    assert (process.returncode, printed[0], errors) == (0, "+", "")


@pytest.mark.parametrize(
    ("command", "status", "stderr"),
    [
        (f"check {VERIFIED} >&-", 0, ""),
        (f"check --json {FAILED} >&-", 4, ""),
        (f"check {FAILED} 2>&-", 4, ""),
        ("check x 2>&-", 2, ""),
        ("check x 2>/dev/full", 2, ""),
        (f"wait {FAILED} >&- 2>&- <&-", 4, ""),
        ("doctor >&-", 0, ""),
        ("--help >&-", 0, ""),
        ("batch /dev/null >&-", 2, "wonder-payment: stdout is closed. Use --output FILE.\n"),
        ("batch - <&-", 2, "wonder-payment: stdin is closed.\n"),
        ("batch /dev/null --output . >&-", 2, None),
        ("doctor >/dev/full", 1, "wonder-payment: [Errno 28] No space left on device\n"),
    ],
)
def test_a_closed_or_full_stream_leaves_the_exit_status(
    gateway: SimulatedGateway, command: str, status: int, stderr: str | None
) -> None:
    process = start(gateway, "-c", f"{PROGRAM} {command}", program=["/bin/sh"])
    _, errors = process.communicate()
    assert process.returncode == status
    assert "Traceback" not in errors
    assert stderr is None or errors == stderr


def test_an_output_that_cannot_be_opened_is_reported_without_stdout(gateway: SimulatedGateway, tmp_path: Path) -> None:
    command = f"{PROGRAM} batch /dev/null --output {tmp_path}/missing/results >&-"
    process = start(gateway, "-c", command, program=["/bin/sh"])
    _, errors = process.communicate()
    assert (process.returncode, is_one_line(errors)) == (1, True)


@pytest.mark.parametrize("columns", ["0", "1", "x"])
def test_a_line_is_whole_however_narrow_the_terminal(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    printed, _ = start(gateway, "check", VERIFIED).communicate()
    assert printed == "✔ success  CreditCard …0001  visa …1111 until 12/2030\n"


@IN_ENVIRONMENT
@pytest.mark.parametrize(
    ("environ", "is_colored"),
    [
        ({"FORCE_COLOR": "1"}, True),
        ({"TTY_COMPATIBLE": "1"}, True),
        ({"TTY_INTERACTIVE": "1"}, False),
        ({"CI": "true", "GITHUB_ACTIONS": "true"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "CI": "true"}, False),
    ],
    ids=["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CI", "all"],
)
def test_no_variable_makes_a_pipe_a_terminal(
    gateway: SimulatedGateway,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    tmp_path: Path,
    environ: dict[str, str],
    *,
    is_colored: bool,
) -> None:
    for name, value in {"TERM": "xterm", **environ}.items():
        monkeypatch.setenv(name, value)
    source = tmp_path / "tokens.txt"
    source.write_text(VERIFIED)
    waited = gateway.add_token(states=["pending", "success"])
    commands: list[list[object]] = [["wait", waited], ["demo"], ["batch", source]]
    for command in commands:
        result = Printed(monkeypatch, "utf-8", *command)
        expected = summary(1, 0, 0, 0) + "\n" if command[0] == "batch" else ""
        assert (result.status, result.stderr) == (0, expected)
        for code in ("\x1b[?25", "\x1b[2K", "\x1b[1A", "\r"):  # hides the cursor, erases a line, goes up
            assert code not in result.stdout
        assert ("\x1b[32m" in result.stdout) == (is_colored and command[0] != "batch")
    assert clock.slept


@pytest.mark.parametrize(
    ("on_terminal", "environ", "shows"),
    [
        ("stdout, stderr", {}, "live"),
        ("stdout, stderr", {"NO_COLOR": "1"}, "live"),
        ("stdout, stderr", {"TERM": "dumb"}, "lines"),
        ("stdout, stderr", {"TTY_INTERACTIVE": "0"}, "lines"),
        ("stdout, stderr", {"TTY_COMPATIBLE": "0"}, "lines"),
        ("stdout", {}, "lines"),
        ("stderr", {}, "nothing"),
    ],
)
def test_a_wait_is_live_on_a_terminal_only(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, on_terminal: str, environ: dict[str, str], shows: str
) -> None:
    for name, value in {"TERM": "xterm", **environ}.items():
        monkeypatch.setenv(name, value)
    leader, follower = pty.openpty()
    streams = dict.fromkeys(on_terminal.split(", "), follower)
    process = start(gateway, "wait", gateway.add_token(states=["pending", "success"]), **streams)
    os.close(follower)
    shown = read_terminal(leader)
    printed, errors = process.communicate()
    assert process.returncode == 0
    assert not errors
    assert ("\x1b[?25l" in shown) == (shows == "live")
    assert ("pending" in shown) == (shows != "nothing")
    assert ("success" in shown) == ("stdout" in on_terminal)
    assert ("pending" in (printed or "")) == (shows == "nothing")
