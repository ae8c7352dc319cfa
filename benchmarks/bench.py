"""Compare the speed of the clients with what people use instead, side by side on this machine.

`nox -s bench`, or `python -m benchmarks.bench` with wonder-payment[fast] and the dependency group `bench` installed,
writes RESULTS.md, and fails if a target is missed. `--quick` takes less time and only prints. `--own` measures this
package alone and only prints: run it before and after a change.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .bench_page import Row, page
from .rounds import ROOT, Child, Round, Turn, play
from .targets import IMPORT, IN_FLIGHT, ONE_BY_ONE, TARGETS, THREADS, missed

CLIENTS = ("WonderClient", "WonderClient, fast")
ASYNC_CLIENTS = ("AsyncWonderClient", "AsyncWonderClient, fast")
BY_HAND = ("httpx by hand", "urllib3 by hand")
OTHERS = ("requests written well", "requests by hand", "openapi-generator", "signature alone")
ASYNC_OTHERS = ("httpx by hand", "aiohttp by hand", "bytes alone")

DEPENDENCIES = (
    "attrs, cryptography.hazmat.primitives.asymmetric.rsa, cryptography.hazmat.primitives.serialization, httpx"
)
# httpx imports click and rich for its own command if they are installed. A default install does not have them.
TIMED_IMPORT = (
    "import sys; sys.modules['click'] = None; import time; began = time.perf_counter(); import {}; "
    "print(time.perf_counter() - began)"
)


@attrs.frozen
class Sizes:
    """How much to measure: rounds, and seconds of one turn."""

    sync_rounds: int = 120
    sync_seconds: float = 0.06
    thread_rounds: int = 25
    thread_seconds: float = 0.4
    async_rounds: int = 12
    async_seconds: float = 2.0
    imports: int = 25


QUICK = Sizes(20, 0.06, 7, 0.25, 7, 0.8, 7)


def timed_import(modules: str, environ: dict[str, str]) -> Turn:
    """Measure an import in a new interpreter, without the interpreter's own start."""
    command = [sys.executable, "-c", TIMED_IMPORT.format(modules)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)  # noqa: S603
    return {"calls": 1, "seconds": float(done.stdout)}


@attrs.define
class Bench:
    """A run, and its results so far.

    Attributes:
        environ: The environment of the contenders.
        own: Whether to measure this package alone.
        targets: The rows of the targets.
        figures: The turns of each contender of each group.
    """

    sizes: Sizes
    environ: dict[str, str]
    own: bool
    targets: list[tuple[str, ...]] = attrs.field(factory=list)
    figures: dict[tuple[str, str], list[Turn]] = attrs.field(factory=dict)

    def note(self, group: str, names: Iterable[str], rounds: list[Round]) -> None:
        """Add what the rounds of a group measured."""
        for name in names:
            self.figures[group, name] = [one[name] for one in rounds]
            print(" | ".join(Row(f"{name}, {group}", self.figures[group, name]).cells()), flush=True)
        for target in TARGETS:
            if target.group == group and target.theirs in rounds[0]:
                self.targets.append(target.row(rounds))

    def measure(self, group: str, kind: str, names: Sequence[str], rounds: int, **turn: Any) -> None:
        """Let contenders, each in a process of its own, take a turn in every round."""
        with ExitStack() as stack:
            children = {name: stack.enter_context(Child(self.environ, "contender", kind, name)) for name in names}
            turns: dict[str, Callable[[], Turn]] = {
                name: partial(child.turn, **turn) for name, child in children.items()
            }
            played = play(turns, rounds)
        self.note(group, names, played)

    def run(self) -> None:
        """Measure each group."""
        sizes, own = self.sizes, self.own
        names = (*CLIENTS, "WonderClient, own work", *(() if own else BY_HAND + OTHERS))
        self.measure(ONE_BY_ONE, "sync", names, sizes.sync_rounds, seconds=sizes.sync_seconds, threads=1)
        names = CLIENTS + (() if own else BY_HAND)
        self.measure(THREADS, "sync", names, sizes.thread_rounds, seconds=sizes.thread_seconds, threads=8)
        names = (*ASYNC_CLIENTS, "idle", *(() if own else ASYNC_OTHERS))
        self.measure(IN_FLIGHT, "async", names, sizes.async_rounds, seconds=sizes.async_seconds, concurrency=64)
        modules = {"wonder_payment": "wonder_payment", "its dependencies": DEPENDENCIES}
        imports = {name: partial(timed_import, those, self.environ) for name, those in modules.items()}
        self.note(IMPORT, modules, play(imports, sizes.imports))


def generate(folder: str) -> None:
    """Write the client of openapi-generator."""
    program = Path(sysconfig.get_path("scripts")) / "openapi-generator-cli"
    options = ["--generator-name", "python", "--library", "urllib3", "--package-name", "wonder_openapi_generator"]
    command = [program, "generate", *options, "--input-spec", ROOT / "openapi.yaml", "--output", folder]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


@contextmanager
def running_server(folder: str) -> Iterator[dict[str, str]]:
    """Start the server, and yield the environment of the contenders."""
    # No proxy; and bytecode is kept, as it is by default.
    kept = (name for name in os.environ if not name.lower().endswith("_proxy") and name != "PYTHONDONTWRITEBYTECODE")
    environ = {name: os.environ[name] for name in kept}
    key = rsa.generate_private_key(65537, 2048)
    with Child(environ, "server") as server:
        yield environ | {
            "PYTHONPATH": folder,
            "WONDER_APP_ID": "benchmark",
            "WONDER_BASE_URL": f"http://127.0.0.1:{server.line()}",
            "WONDER_PRIVATE_KEY": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        }


def main() -> None:
    """Measure, print, write RESULTS.md, and fail if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="take less time, and only print")
    parser.add_argument("--own", action="store_true", help="measure this package alone, and only print")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, running_server(folder) as environ:
        if not options.own:
            generate(folder)
        bench = Bench(QUICK if options.quick else Sizes(), environ, options.own)
        bench.run()
    if not options.own:
        text = page(bench.targets, bench.figures, time.perf_counter() - began)
        print(f"\n{text}", end="")
        if not options.quick:
            (ROOT / "benchmarks" / "RESULTS.md").write_text(text, encoding="utf-8", newline="\n")
    if problems := missed(bench.targets):
        sys.exit("Missed targets:\n" + "\n".join(problems))


if __name__ == "__main__":
    main()
