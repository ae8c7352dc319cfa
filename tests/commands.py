"""What the tests of the command line share."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result
from wonder_payment.cli import app
from wonder_payment.simulator import TEST_TOKENS, SimulatedGateway

PROGRAM = str(Path(sys.executable).with_name("wonder-payment"))
# The same without the functions and modules that Windows does not have.
AS_ON_WINDOWS = [sys.executable, str(Path(__file__).with_name("as_on_windows.py"))]
PROGRAMS = pytest.mark.parametrize("program", [[PROGRAM], AS_ON_WINDOWS], ids=["Linux", "as on Windows"])
VERIFIED, FAILED, VERIFIED_LATER, PENDING, ALIPAY = (test_token.token for test_token in TEST_TOKENS[:5])
CARD_NUMBER = "4111111111111111"


def run(gateway: SimulatedGateway | None, *arguments: object, **environ: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(map(str, arguments)), env=(gateway.environ if gateway else {}) | environ)


def start(
    gateway: SimulatedGateway | None, *arguments: object, program: Sequence[str] = (PROGRAM,), **options: Any
) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
    environ = {**os.environ, **(gateway.environ if gateway else {})}
    return subprocess.Popen([*program, *map(str, arguments)], env=environ, text=True, **pipes)


def read_terminal(leader: int) -> str:
    """Return everything that a terminal shows until it is closed."""
    shown = b""
    with contextlib.suppress(OSError):  # Linux reports the closed terminal so
        while piece := os.read(leader, 65536):
            shown += piece
    os.close(leader)
    return shown.decode()


def is_one_line(text: str) -> bool:
    return text.startswith("wonder-payment: ") and text.count("\n") == 1 and "Traceback" not in text


def lines(text: str | Path) -> list[Any]:
    """Return the JSON lines of an output."""
    content = text.read_text() if isinstance(text, Path) else text
    assert content == "" or content.endswith("\n")
    return [json.loads(line) for line in content.splitlines()]


def summary(*counts: int) -> str:
    """Return the last line of a batch: how many tokens are verified, pending and failed, and how many errors."""
    names = zip(("verified", "pending", "failed", "errors"), counts, strict=True)
    return f"wonder-payment: results: {', '.join(f'{name} {count}' for name, count in names)}."


def write(path: Path, tokens: Iterable[str]) -> None:
    path.write_text("\n".join(tokens) + "\n")


def add_verified(gateway: SimulatedGateway, count: int) -> list[str]:
    return [gateway.add_token(states=["success"]) for _ in range(count)]


def checked(gateway: SimulatedGateway) -> list[str]:
    return [str(request.token) for request in gateway.requests]
