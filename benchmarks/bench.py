"""How fast the clients are, and what they hold, beside what people use instead: all in one run, on this machine alone.

`nox -s bench`, or `python benchmarks/bench.py` with wonder_payment[cli] and the dependency group `bench` installed:
prints a table, writes RESULTS.md and results.svg beside itself, and fails on nothing but its own errors. `--quick`
prints only, with less of everything: a look, in about a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

import attrs
import psutil
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from report import Goal, Spread, page, percentile, plot
from wonder_payment import AsyncWonderClient, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Figures = dict[str, Any]
    # What each contender's turn gave, in one round.
    Round = dict[str, Figures]

HERE = Path(__file__).parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
CONTRACT = HERE.parent / "openapi.yaml"

NEEDED = "httpx, attrs, cryptography.hazmat.primitives.asymmetric.rsa, cryptography.hazmat.primitives.serialization"
NOT_NEEDED = ("typer", "rich", "starlette", "aiohttp", "dateutil.parser")
# httpx imports click and rich where they are installed, for a command of its own: hidden from it, they are as absent
# as in the default install.
HIDE = "import sys; sys.modules['click'] = None; "
TIMED_IMPORT = HIDE + "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"
LIST_IMPORTS = (
    HIDE + "import httpx; del sys.modules['click']; import wonder_payment; "
    f"print(*(name for name in {NOT_NEEDED} if name in sys.modules))"
)

LIBRARIES = (
    "wonder-payment",
    "httpx",
    "httpcore",
    "cryptography",
    "attrs",
    "tenacity",
    "aiohttp",
    "requests",
    "urllib3",
    "openapi-generator-cli",
    "pydantic",
)

CONCURRENCY = 64
THREADS = 8

METHOD = """## How it is measured

The server stands in a process of its own and does as little as it can (`server.py`): it reads a request to its end,
checks no signature, and answers with a verified card. So does each contender (`peers.py`, `many.py`), with a fresh
interpreter, the same key and the same signing. They take turns, one at a time and in rounds (A B C, B C A, C A B, ...),
so that whatever else the machine does meets all of them. What counts is the median of the rounds' ratios.

- httpx by hand: one `httpx.Client` or `httpx.AsyncClient`, one key, the answer as a dict and nothing else. The floor.
- aiohttp by hand: the same with one `aiohttp.ClientSession`.
- requests by hand: `requests.post`, the PEM loaded for each call. What people write first.
- openapi-generator: the client it makes from `openapi.yaml` (`-g python`, urllib3), signed where it sends.
- signature alone: no request. Bytes alone: the same unsigned bytes again and again, sent by what reads no HTTP, to
  show how fast the server is at the least.

The event loop's lag is by how much a ticker of 10 ms is late, while so many checks are in flight. The waits use the
default `PollPolicy` and begin evenly over {over:g} s; a look's time is when the policy's delay after the last answer is
over, and it has come when the server has read it. Each token of a sweep is another one; in each round the cost is that
of {turn:,} tokens of the one long sweep, in that of a sweep of {short:,} from its beginning to its end.
"""

USAGE = """## How to run it

`python3 noxfile.py -s bench` writes this page in some ten minutes; `python3 noxfile.py -s bench -- --quick` prints it
only, with less of everything, in one. It fails for no figure: on a busy machine they mean little.
"""


@attrs.frozen
class Sizes:
    """How much is measured: rounds, seconds, numbers of things."""

    sync_rounds: int = 50
    sync_seconds: float = 0.15
    thread_rounds: int = 15
    thread_seconds: float = 0.5
    async_rounds: int = 12
    async_seconds: float = 2.0
    idle_seconds: float = 0.5
    processes: int = 25
    waits: int = 1_000
    waits_over: float = 20.0
    looks: int = 11  # at which a token is pending; the one after them is 21 to 24 s after the first
    sweep_rounds: int = 20
    sweep_turn: int = 5_000
    short_sweep: int = 1_000


QUICK = Sizes(
    sync_rounds=10,
    sync_seconds=0.08,
    thread_rounds=4,
    thread_seconds=0.25,
    async_rounds=3,
    async_seconds=0.6,
    idle_seconds=0.2,
    processes=3,
    waits=200,
    waits_over=4.0,
    looks=4,
    sweep_rounds=3,
    sweep_turn=400,
    short_sweep=200,
)


class Child:
    """A process of this folder that says a line of JSON, and answers each one with another."""

    def __init__(self, environ: dict[str, str], script: str, *arguments: str) -> None:
        self.name = " ".join([script, *arguments])
        command = [sys.executable, str(HERE / script), *arguments]
        self.process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603

    def line(self) -> Any:
        """Return the next line it says."""
        said = self.process.stdout.readline() if self.process.stdout else ""
        if not said:
            sys.exit(f"{self.name} ended with status {self.process.wait()}.")
        return json.loads(said)

    def ask(self, **settings: Any) -> Any:
        """Return what one turn gave."""
        print(json.dumps(settings), file=self.process.stdin, flush=True)
        return self.line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            self.process.kill()
        self.process.communicate()


def play(contenders: dict[str, Callable[[], Figures]], rounds: int) -> list[Round]:
    """Let the contenders take turns, each round begun by the next one, after a round that is not counted."""
    names = list(contenders)
    played = list[dict[str, Any]]()
    for number in range(rounds + 1):
        first = number % len(names)
        played.append({name: contenders[name]() for name in names[first:] + names[:first]})
    return played[1:]


def cost(figures: Figures) -> float:
    """Return the seconds of one call."""
    seconds: float = figures["seconds"] / figures["calls"]
    return seconds


def ratio(rounds: list[Round], ours: str, theirs: str) -> Spread:
    """Return how many times as long a call takes."""
    return Spread.of(cost(one[ours]) / cost(one[theirs]) for one in rounds)


def run(*command: str | Path) -> Figures:
    """Return how long a program takes, from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return {"calls": 1, "seconds": time.perf_counter() - began}


def said(code: str) -> str:
    """Return what a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout  # noqa: S603


def timed_import(modules: str) -> Figures:
    """Return how long an import takes in a fresh interpreter, without the interpreter's own start."""
    return {"calls": 1, "seconds": float(said(TIMED_IMPORT.format(modules)))}


@attrs.define
class Bench:
    """A run, and what it gave so far."""

    sizes: Sizes
    environ: dict[str, str]
    server: psutil.Process
    goals: list[Goal] = attrs.field(factory=list)
    figures: list[tuple[str, ...]] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)

    def clients(self) -> dict[str, list[str]]:
        """Return the async client with each transport that is there, and what many.py is told for it."""
        found: dict[str, list[str]] = {"AsyncWonderClient": []}
        with suppress(ConfigurationError):
            AsyncWonderClient.from_env(self.environ, transport="aiohttp")
            found["AsyncWonderClient[aiohttp]"] = ["aiohttp"]
        return found

    def goal(self, what: str, measured: Spread, **options: Any) -> None:
        """Keep something that is wanted, and what was measured of it."""
        self.goals.append(Goal(what=what, measured=measured, **options))
        print(" | ".join(self.goals[-1].cells()), flush=True)

    def compare(self, what: str, rounds: list[Round], ours: str, theirs: str, **bound: float) -> None:
        """Keep what is wanted of a ratio: of times where it is a most, of speeds where it is a least."""
        measure, pair = ("time", (ours, theirs)) if "most" in bound else ("speed", (theirs, ours))
        self.goal(f"{what}: {measure}, in that of {theirs}", ratio(rounds, *pair), unit=" x", **bound)

    def figure(self, name: str, turns: Sequence[Figures]) -> None:
        """Keep a contender's own figures."""
        took = Spread.of(1000 * cost(turn) for turn in turns)
        cells = [f"{took:.2f} ms", "", "", ""]
        if "cpu" in turns[0]:
            cells[2] = f"{1000 / took.middle:,.0f}"
            cells[1] = f"{median(1000 * turn['cpu'] / turn['calls'] for turn in turns):.2f} ms"
        if "lags" in turns[0]:
            cells[3] = " / ".join(f"{1000 * p99(turns, kind):.1f} ms" for kind in ("lags", "idle"))
        self.figures.append((name, *cells))

    @contextmanager
    def peers(self, kind: str, *names: str) -> Iterator[dict[str, Child]]:
        """Start contenders, each in a process of its own."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(Child(self.environ, "peers.py", kind, name)) for name in names}

    def one_by_one(self) -> None:
        """Measure one call after the other."""
        ours, *others = names = (
            "WonderClient",
            "httpx by hand",
            "requests by hand",
            "openapi-generator",
            "signature alone",
        )
        with self.peers("sync", *names) as peers:
            turn = {"seconds": self.sizes.sync_seconds, "threads": 1}
            rounds = play({name: partial(peers[name].ask, **turn) for name in names}, self.sizes.sync_rounds)
        for name in names:
            self.figure(f"{name}, one by one", [one[name] for one in rounds])
        for theirs, bound in zip(others, ({"most": 1.1}, {"least": 25.0}, {"least": 1.2}), strict=False):
            self.compare("one warm check_token()", rounds, ours, theirs, **bound)

    def threads(self) -> None:
        """Measure threads that share one client."""
        names = ("WonderClient", "httpx by hand")
        with self.peers("sync", *names) as peers:
            turns = {
                f"{name}, {threads} thread{'' if threads == 1 else 's'}": partial(
                    peers[name].ask, seconds=self.sizes.thread_seconds, threads=threads
                )
                for name in names
                for threads in (1, THREADS)
            }
            rounds = play(turns, self.sizes.thread_rounds)
        for name in turns:
            self.figure(name, [one[name] for one in rounds])
        one, many = list(turns)[:2]
        self.compare(f"{THREADS} threads on one client", rounds, many, one, least=1.6)

    def at_once(self) -> None:
        """Measure many checks at a time in one event loop, and what the loop's other tasks feel of it."""
        ours = list(self.clients())
        turn = {"seconds": self.sizes.async_seconds, "idle": self.sizes.idle_seconds, "concurrency": CONCURRENCY}
        with self.peers("async", *ours, "httpx by hand", "aiohttp by hand", "bytes alone") as peers:
            turns = {name: partial(self._ask, peer, turn) for name, peer in peers.items()}
            rounds = play(turns, self.sizes.async_rounds)
        for name in turns:
            self.figure(f"{name}, {CONCURRENCY} at once", [one[name] for one in rounds])
        # The default transport is httpx's own, and is wanted to be no slower than that.
        for name in ours:
            self.compare(
                f"{name}, {CONCURRENCY} at once", rounds, name, "httpx by hand", least=3.0 if name == ours[-1] else 1.0
            )
        self.compare(f"{ours[-1]}, {CONCURRENCY} at once", rounds, ours[-1], "aiohttp by hand", least=1.0)
        for name in ours:
            idle = p99([one[name] for one in rounds], "idle")
            over = Spread.of(1000 * (p99([one[name]], "lags") - idle) for one in rounds)
            what = f"{name}, {CONCURRENCY} at once: event loop lag, p99, over idle"
            self.goal(what, over, most=5.0, unit=" ms", form=".1f")
        fastest = max(
            (name for name in turns if name != "bytes alone"),
            key=lambda name: -median(cost(one[name]) for one in rounds),
        )
        able = median(one[fastest]["calls"] / one[fastest]["served"] for one in rounds)
        asked, bytes_alone = (median(1 / cost(one[name]) for one in rounds) for name in (fastest, "bytes alone"))
        self.notes.append(
            f"The server answers {bytes_alone:,.0f} requests a second on {CONCURRENCY} connections to who sends bytes "
            f"alone. The fastest contender ({fastest}) asks {asked:,.0f} times a second, and takes {asked / able:.0%} "
            "of a core of the server for it."
        )

    def _ask(self, peer: Child, turn: Figures) -> Figures:
        """Return what a turn gave, and the seconds of CPU that it took the server."""
        before = self.server.cpu_times()
        figures: Figures = peer.ask(**turn)
        after = self.server.cpu_times()
        return figures | {"served": after.user + after.system - before.user - before.system}

    def interpreters(self) -> None:
        """Measure fresh interpreters: imports, and the command line."""
        imports = {"wonder_payment": "wonder_payment", "what it needs": NEEDED}
        rounds = play({name: partial(timed_import, modules) for name, modules in imports.items()}, self.sizes.processes)
        self.figure("import wonder_payment", [one["wonder_payment"] for one in rounds])
        self.compare("import wonder_payment", rounds, *imports, most=1.2)
        found = said(LIST_IMPORTS).split()
        what = f"import wonder_payment: how many it imports of {', '.join(NOT_NEEDED)}"
        self.goal(what, Spread.of([len(found)]), most=0, form=".0f", remark=" ".join(["", *found]))
        programs = {
            "wonder-payment --help": (SCRIPTS / "wonder-payment", "--help"),
            'python -c "import httpx"': (sys.executable, "-c", "import httpx"),
        }
        rounds = play({name: partial(run, *command) for name, command in programs.items()}, self.sizes.processes)
        for name in programs:
            self.figure(name, [one[name] for one in rounds])
        self.compare("wonder-payment --help", rounds, *programs, most=2.0)

    def waits(self) -> None:
        """Measure many waits in one event loop."""
        turn = {"waits": self.sizes.waits, "over": self.sizes.waits_over, "looks": self.sizes.looks}
        for name, arguments in self.clients().items():
            with Child(self.environ, "many.py", "waits", *arguments) as child:
                seen = child.ask(**turn)
            what = f"{name}, {seen['at_once']:,} waits at once"
            grown = Spread.of([(seen["most"] - seen["idle"]) / 1e6])
            self.goal(f"{what}: memory over idle", grown, most=60.0, unit=" MB", form=".1f")
            late = [1000 * seconds for seconds in seen["late"]]
            remark = f" (median {median(late):.0f}, p99 {percentile(late, 99):.0f}, of {len(late):,})"
            latest = Spread.of([max(late)])
            self.goal(f"{what}: the latest look", latest, most=250.0, unit=" ms", form=".0f", remark=remark)

    def sweeps(self) -> None:
        """Measure many tokens, beside fewer of them anew in each round."""
        fastest = list(self.clients().items())[-1]
        for name, arguments in {"WonderClient": ["sync"], fastest[0]: ["async", *fastest[1]]}.items():
            with (
                Child(self.environ, "many.py", *arguments) as long,
                Child(self.environ, "many.py", *arguments) as short,
            ):
                turns = {
                    "long": partial(long.ask, tokens=self.sizes.sweep_turn, long=True),
                    "short": partial(short.ask, tokens=self.sizes.short_sweep, long=False),
                }
                rounds = play(turns, self.sizes.sweep_rounds)
            of_long = [one["long"] for one in rounds]
            # The first round is not in the rounds, and its tokens are in the memory.
            tokens = self.sizes.sweep_turn * (self.sizes.sweep_rounds + 1)
            self.figure(f"{name}, {tokens:,} tokens", of_long)
            what = f"{name}, {tokens:,} tokens"
            grown = Spread.of([(max(turn["most"] for turn in of_long) - of_long[0]["idle"]) / 1e6])
            self.goal(f"{what}: memory over idle", grown, most=25.0, unit=" MB", form=".1f")
            what = f"{what}: cost of one, in that of {self.sizes.short_sweep:,}"
            self.goal(what, ratio(rounds, "long", "short"), most=1.1, unit=" x")


def p99(turns: Sequence[Figures], kind: str) -> float:
    """Return the 99th percentile of a ticker's lags."""
    return percentile(chain.from_iterable(turn[kind] for turn in turns), 99)


def machine() -> str:
    """Return what this ran on."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {platform.python_implementation()} "
        f"{platform.python_version()}; {libraries}."
    )


def generate(folder: Path) -> None:
    """Write the client that openapi-generator makes from the contract."""
    what = ["--generator-name", "python", "--library", "urllib3", "--package-name", "wonder_openapi_generator"]
    command = [SCRIPTS / "openapi-generator-cli", "generate", *what, "--input-spec", CONTRACT, "--output", folder]
    told = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if told.returncode:
        sys.exit(told.stdout + told.stderr)


@contextmanager
def surroundings() -> Iterator[tuple[dict[str, str], psutil.Process]]:
    """Start the server, and yield what the contenders' environment is, and the server's process."""
    # A proxy is for no request here.
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with tempfile.TemporaryDirectory() as folder, Child(environ, "server.py") as server:
        generate(Path(folder))
        key = rsa.generate_private_key(65537, 2048)
        yield (
            environ
            | {
                "PYTHONPATH": folder,
                "WONDER_APP_ID": "benchmark",
                "WONDER_BASE_URL": f"http://127.0.0.1:{server.line()}",
                "WONDER_PRIVATE_KEY": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            },
            psutil.Process(server.process.pid),
        )


def main() -> None:
    """Measure, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, and written nowhere")
    parser.add_argument("--into", type=Path, help="the folder to write RESULTS.md and results.svg to")
    options = parser.parse_args()
    sizes, folder = (QUICK, options.into) if options.quick else (Sizes(), options.into or HERE)
    described, began = machine(), time.perf_counter()
    with surroundings() as (environ, server):
        bench = Bench(sizes, environ, server)
        for measure in (bench.one_by_one, bench.threads, bench.at_once, bench.interpreters, bench.waits, bench.sweeps):
            measure()
    took = f"The run took {time.perf_counter() - began:.0f} s."
    method = METHOD.format(over=sizes.waits_over, turn=sizes.sweep_turn, short=sizes.short_sweep)
    text = page(
        bench.goals, bench.figures, " ".join(bench.notes), f"## The machine\n\n{described} {took}", method, USAGE
    )
    print(f"\n{text}", end="")
    if folder:
        (folder / "RESULTS.md").write_text(text, encoding="utf-8", newline="\n")
        plot(bench.goals, folder / "results.svg")


if __name__ == "__main__":
    main()
