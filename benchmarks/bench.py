"""Compare the speed of the clients with what people use instead, side by side on this machine.

`nox -s bench`, or `python benchmarks/bench.py` with wonder-payment[fast] and the dependency group `bench` installed,
writes RESULTS.md. `--quick` takes less time and only prints. `--own` measures this package alone and only prints: run
it before and after a change.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Self

import attrs
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

HERE = Path(__file__).parent
CONTRACT = HERE.parent / "openapi.yaml"
OWN, OWN_ASYNC, OWN_AIOHTTP = "WonderClient", "AsyncWonderClient", "AsyncWonderClient[fast]"
SYNC = (OWN, "httpx by hand", "requests by hand", "openapi-generator", "signature alone")
ASYNC = (OWN_ASYNC, OWN_AIOHTTP, "httpx by hand", "aiohttp by hand", "bytes alone")
CONCURRENCY = 64
THREADS = 8
LIBRARIES = "wonder-payment httpx httpcore cryptography attrs aiohttp requests urllib3 openapi-generator-cli pydantic"

DEPENDENCIES = (
    "attrs, cryptography.hazmat.primitives.asymmetric.rsa, cryptography.hazmat.primitives.serialization, httpx"
)
# httpx imports click and rich for its own command if they are installed. A default install does not have them.
TIMED_IMPORT = (
    "import sys; sys.modules['click'] = None; import time; began = time.perf_counter(); import {}; "
    "print(time.perf_counter() - began)"
)

METHOD = """## How it is measured

The server (`server.py`) and each contender (`peers.py`) run in processes of their own. The server does as little as it
can: it reads the request, checks no signature and returns a verified card. All contenders sign in the same way with the
same key. They take turns in rounds (A B C, B C A, C A B, ...), so that other load on the machine affects all of them
alike. Each figure is the median of the rounds, with the 10th and 90th percentiles in parentheses.

- httpx by hand: one `httpx.Client` or `httpx.AsyncClient`, one key, the response as a dict. This is the lower bound.
- aiohttp by hand: the same with one `aiohttp.ClientSession`.
- requests by hand: `requests.post`, and the PEM loaded for each call, as in a first script.
- openapi-generator: its client for `openapi.yaml` (`-g python`, urllib3), with the signature added where it sends.
- signature alone: no request.
- bytes alone: the same unsigned bytes sent again and again, without an HTTP parser. It shows that the server is not the
  bottleneck.

The event loop's lag is how late a ticker of 10 ms wakes up while the checks are in flight.

## How to run it

`python3 noxfile.py -s bench` writes this page in about five minutes. With `-- --quick` it takes one minute and only
prints. `-- --own` measures this package alone, in half a minute: run it before and after a change. The targets are not
enforced, because a busy machine changes every figure.
"""


@attrs.frozen
class Sizes:
    """How much to measure: rounds, and seconds of one turn."""

    sync_rounds: int = 50
    sync_seconds: float = 0.15
    thread_rounds: int = 15
    thread_seconds: float = 0.5
    async_rounds: int = 12
    async_seconds: float = 2.0
    imports: int = 25


QUICK = Sizes(10, 0.08, 4, 0.25, 3, 0.6, 3)


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


# What one turn measured: calls, seconds, and for some contenders more.
Turn = dict[str, Any]
Round = dict[str, Turn]


class Child:
    """A script of this folder in a process of its own. It prints a line of JSON for each line that it gets."""

    def __init__(self, environ: dict[str, str], script: str, *arguments: str) -> None:
        self.name = " ".join([script, *arguments])
        command = [sys.executable, str(HERE / script), *arguments]
        self.process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603

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


def cost(turn: Turn) -> float:
    """Return the seconds of one call."""
    seconds: float = turn["seconds"] / turn["calls"]
    return seconds


def timed_import(modules: str) -> Turn:
    """Measure an import in a new interpreter, without the interpreter's own start."""
    command = [sys.executable, "-c", TIMED_IMPORT.format(modules)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return {"calls": 1, "seconds": float(done.stdout)}


@attrs.define
class Bench:
    """A run, and its results so far.

    Attributes:
        environ: The environment of the contenders.
        own: Whether to measure this package alone.
        targets: Rows of the first table.
        figures: Rows of the second table.
    """

    sizes: Sizes
    environ: dict[str, str]
    own: bool
    targets: list[tuple[str, ...]] = attrs.field(factory=list)
    figures: list[tuple[str, ...]] = attrs.field(factory=list)

    def target(
        self, what: str, measured: Spread, *, minimum: float = 0.0, maximum: float = 0.0, unit: str = " x"
    ) -> None:
        """Add a row to the first table."""
        bound = f"at least {minimum:g}{unit}" if minimum else f"at most {maximum:g}{unit}"
        is_met = measured.middle >= minimum if minimum else measured.middle <= maximum
        self.targets.append((what, bound, f"{measured:.2f}{unit}", "yes" if is_met else "**no**"))

    def faster(self, rounds: list[Round], ours: str, theirs: str, minimum: float, label: str = "") -> None:
        """Add how many times as fast one contender is as another."""
        if theirs + label in rounds[0]:
            speed = Spread.of(cost(one[theirs + label]) / cost(one[ours + label]) for one in rounds)
            self.target(f"{ours}{label}: speed relative to {theirs}", speed, minimum=minimum)

    def figure(self, name: str, turns: Sequence[Turn]) -> None:
        """Add a row to the second table."""
        cells = [f"{Spread.of(1000 * cost(turn) for turn in turns):.2f} ms", "", "", ""]
        if "cpu" in turns[0]:
            cells[1] = f"{median(1000 * turn['cpu'] / turn['calls'] for turn in turns):.2f} ms"
            cells[2] = f"{median(1 / cost(turn) for turn in turns):,.0f}"
        if "lags" in turns[0]:
            cells[3] = f"{1000 * lag(turns):.1f} ms"
        self.figures.append((name, *cells))
        print(" | ".join(self.figures[-1]), flush=True)

    def measure(self, kind: str, names: Sequence[str], rounds: int, *turns: dict[str, Any]) -> list[Round]:
        """Let contenders, each in a process of its own, take each of these turns in every round."""
        chosen = [name for name in names if "Wonder" in name or not self.own]
        with ExitStack() as stack:
            peers = {name: stack.enter_context(Child(self.environ, "peers.py", kind, name)) for name in chosen}
            contenders = {
                f"{name}{turn.pop('label')}": partial(peer.turn, **turn)
                for name, peer in peers.items()
                for turn in map(dict, turns)
            }
            played = play(contenders, rounds)
        for name in contenders:
            self.figure(name, [one[name] for one in played])
        return played

    def one_by_one(self) -> None:
        """Measure one call after the other."""
        label = ", one call at a time"
        turn = {"label": label, "seconds": self.sizes.sync_seconds, "threads": 1}
        rounds = self.measure("sync", SYNC, self.sizes.sync_rounds, turn)
        if not self.own:
            slower = Spread.of(cost(one[OWN + label]) / cost(one[f"httpx by hand{label}"]) for one in rounds)
            self.target(f"{OWN}{label}: time relative to httpx by hand", slower, maximum=1.1)
        for theirs, minimum in (("requests by hand", 25.0), ("openapi-generator", 1.2)):
            self.faster(rounds, OWN, theirs, minimum, label)

    def threads(self) -> None:
        """Measure threads that share one client."""
        labels = {threads: f", {threads} thread{'s' * (threads > 1)}" for threads in (1, THREADS)}
        turns = [
            {"label": label, "seconds": self.sizes.thread_seconds, "threads": threads}
            for threads, label in labels.items()
        ]
        rounds = self.measure("sync", SYNC[:2], self.sizes.thread_rounds, *turns)
        self.faster(rounds, OWN + labels[THREADS], OWN + labels[1], 1.6)

    def in_flight(self) -> None:
        """Measure many checks in flight in one event loop, and the lag of its other tasks."""
        label = f", {CONCURRENCY} in flight"
        turn = {"label": label, "seconds": self.sizes.async_seconds, "concurrency": CONCURRENCY}
        rounds = self.measure("async", ASYNC, self.sizes.async_rounds, turn)
        self.faster(rounds, OWN_ASYNC, "httpx by hand", 1.0, label)
        self.faster(rounds, OWN_AIOHTTP, "httpx by hand", 3.0, label)
        self.faster(rounds, OWN_AIOHTTP, "aiohttp by hand", 1.0, label)
        for name in (OWN_ASYNC, OWN_AIOHTTP):
            lags = Spread.of(1000 * lag([one[name + label]]) for one in rounds)
            self.target(f"{name}{label}: event loop lag, p99", lags, maximum=5.0, unit=" ms")

    def imports(self) -> None:
        """Measure the import, beside that of the dependencies alone."""
        ours, theirs = "import wonder_payment", "import of its dependencies"
        modules = {ours: "wonder_payment", theirs: DEPENDENCIES}
        rounds = play({name: partial(timed_import, names) for name, names in modules.items()}, self.sizes.imports)
        for name in modules:
            self.figure(name, [one[name] for one in rounds])
        slower = Spread.of(cost(one[ours]) / cost(one[theirs]) for one in rounds)
        self.target(f"{ours}: time relative to {theirs}", slower, maximum=1.2)


def lag(turns: Sequence[Turn]) -> float:
    """Return the 99th percentile of the ticker's lags."""
    return percentile(chain.from_iterable(turn["lags"] for turn in turns), 99)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return an aligned Markdown table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page(bench: Bench, seconds: float) -> str:
    """Return RESULTS.md."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES.split())
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return (
        "# Speed\n\n"
        f"{table([('what', 'target', 'measured', 'met'), *bench.targets])}\n"
        "## Figures\n\n"
        f"{table([('', 'time of a call', 'CPU of a call', 'calls a second', 'event loop lag, p99'), *bench.figures])}\n"
        f"{machine}; {libraries}. The run took {seconds:.0f} s.\n\n"
        f"{METHOD}"
    )


def generate(folder: str) -> None:
    """Write the client of openapi-generator."""
    program = Path(sysconfig.get_path("scripts")) / "openapi-generator-cli"
    options = ["--generator-name", "python", "--library", "urllib3", "--package-name", "wonder_openapi_generator"]
    command = [program, "generate", *options, "--input-spec", CONTRACT, "--output", folder]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


@contextmanager
def running_server(folder: str) -> Iterator[dict[str, str]]:
    """Start the server, and yield the environment of the contenders."""
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    key = rsa.generate_private_key(65537, 2048)
    with Child(environ, "server.py") as server:
        yield environ | {
            "PYTHONPATH": folder,
            "WONDER_APP_ID": "benchmark",
            "WONDER_BASE_URL": f"http://127.0.0.1:{server.line()}",
            "WONDER_PRIVATE_KEY": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        }


def main() -> None:
    """Measure, print, and write RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="take less time, and only print")
    parser.add_argument("--own", action="store_true", help="measure this package alone, and only print")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, running_server(folder) as environ:
        if not options.own:
            generate(folder)
        bench = Bench(QUICK if options.quick else Sizes(), environ, options.own)
        for measure in (bench.one_by_one, bench.threads, bench.in_flight, bench.imports):
            measure()
    if options.own:
        return
    text = page(bench, time.perf_counter() - began)
    print(f"\n{text}", end="")
    if not options.quick:
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
