"""Rounds of turns: the contenders take them one after the other, so that other load affects all of them alike."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Self

import attrs

ROOT = Path(__file__).parents[1]

# What one turn measured: calls, seconds, and for some contenders more.
Turn = dict[str, Any]
Round = dict[str, Turn]


class Child:
    """A module of this folder in a process of its own. It prints a line of JSON for each line that it gets."""

    def __init__(self, environ: dict[str, str], module: str, *arguments: str) -> None:
        self.name = " ".join([module, *arguments])
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, text=True)  # noqa: S603

    def line(self) -> Any:
        """Return the next line that it prints."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            sys.exit(f"{self.name} exited with status {self.process.wait()}.")
        return json.loads(line)

    def turn(self, **settings: Any) -> Turn:
        """Let it take one turn."""
        print(json.dumps(settings), file=self.process.stdin, flush=True)
        measured: Turn = self.line()
        return measured

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            self.process.kill()
        self.process.communicate()


def play(contenders: dict[str, Callable[[], Turn]], rounds: int) -> list[Round]:
    """Let the contenders take turns, each round starting with another one, after a warm-up round."""
    names = list(contenders)
    played = list[Round]()
    for number in range(rounds + 1):
        first = number % len(names)
        played.append({name: contenders[name]() for name in names[first:] + names[:first]})
    return played[1:]


def percentile(values: Iterable[float], percent: int) -> float:
    """Return a percentile, interpolated."""
    ordered = list(values)
    return quantiles(ordered, n=100, method="inclusive")[percent - 1] if len(ordered) > 1 else ordered[0]


@attrs.frozen
class Spread:
    """The median of several rounds, and their 10th and 90th percentiles."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Return the spread of the values."""
        seen = list(values)
        return cls(median(seen), percentile(seen, 10), percentile(seen, 90))

    def __format__(self, form: str) -> str:
        return f"{self.middle:{form}} ({self.low:{form}} to {self.high:{form}})"


def time_of(turn: Turn) -> float:
    """Return the seconds of one call."""
    seconds: float = turn["seconds"] / turn["calls"]
    return seconds


def cpu_of(turn: Turn) -> float:
    """Return the CPU seconds of one call."""
    seconds: float = turn["cpu"] / turn["calls"]
    return seconds


def lag_of(*turns: Turn) -> float:
    """Return the 99th percentile of the event loop's lags, in seconds."""
    return percentile(chain.from_iterable(turn["lags"] for turn in turns), 99)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return an aligned Markdown table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
