"""The page that bench.py writes: RESULTS.md."""

import os
import platform
import textwrap
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import attrs

from .rounds import Spread, Turn, cpu_of, lag_of, table, time_of
from .targets import IN_FLIGHT, ONE_BY_ONE, TOLERANCE

LIBRARIES = "wonder-payment httpx httpcore cryptography attrs aiohttp requests urllib3 openapi-generator-cli pydantic"

INTRODUCTION = """\
One check costs {default:.1f} ms of CPU time on this machine, and {fast:.1f} ms with `transport="fast"`. The RSA
signature, which every client has to make, is {signature:.1f} ms of it. The gateway takes tens or hundreds of
milliseconds to respond, so the client hardly counts in the duration of one check. The CPU time decides how many checks
one core makes per second: about {default_rate:.0f} with `WonderClient`, and {fast_rate:.0f} if it is fast; about
{async_rate:.0f} with `AsyncWonderClient`, and {async_fast_rate:.0f} if it is fast.

"requests by hand" takes {by_hand:.0f} times as long, because it parses and checks the private key for each call, as a
first script does: {key:.0f} ms. Written well, with one `requests.Session` and the key loaded once, requests costs
{well:.1f} ms: {well_to_default:.2f} times as much CPU time as `WonderClient`, and {well_to_fast:.2f} times as much as
`WonderClient` with `transport="fast"`.
"""

TARGETS = f"""\
Each target compares two contenders, round by round. Its figure is the median of the rounds, with the 10th and 90th
percentiles in parentheses. A target that is missed by at most {TOLERANCE:.0%} is met.
"""

METHOD = """## How it is measured

The server (`server.py`) and each contender (`contender.py`) run in processes of their own. The server does as little as
it can: it reads the request, checks no signature and returns a verified card. All contenders sign in the same way with
the same key. They take turns in rounds (A B C, B C A, C A B, ...), so that other load on the machine affects all of
them alike.

- httpx by hand: one `httpx.Client` or `httpx.AsyncClient`, one key, the response as a dict. Nothing is checked.
- urllib3 by hand, aiohttp by hand: the same with one `urllib3.PoolManager` or `aiohttp.ClientSession`.
- requests written well: the same with one `requests.Session`.
- requests by hand: `requests.post`, and the PEM loaded for each call, as in a first script.
- openapi-generator: its client for `openapi.yaml` (`-g python`, urllib3), with the signature added where it sends.
- own work: `WonderClient` with a mock transport of httpx and without a signature.
- signature alone: no request.
- bytes alone: the same unsigned bytes sent again and again, without an HTTP parser. It shows that the server is not the
  bottleneck.
- idle: no checks.

The CPU time is that of the contender's process. The event loop's lag is how late a ticker of 10 ms wakes up while the
checks are in flight.

## How to run it

`python3 noxfile.py -s bench` writes this page in about five minutes, and fails if a target is missed. Other load on the
machine changes every figure, so run it on an idle one. With `-- --quick` it takes a minute and a half and only prints.
`-- --own` measures this package alone, in a minute: run it before and after a change.
"""

Figures = Mapping[tuple[str, str], Sequence[Turn]]


@attrs.frozen
class Row:
    """A row of the figures: a contender's turns."""

    name: str
    turns: Sequence[Turn]

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row."""
        cells = [f"{Spread.of(1000 * time_of(turn) for turn in self.turns):.2f} ms", "", "", ""]
        if "cpu" in self.turns[0]:
            cells[1] = f"{1000 * median(map(cpu_of, self.turns)):.2f} ms"
            cells[2] = f"{median(1 / time_of(turn) for turn in self.turns):,.0f}"
        if "lags" in self.turns[0]:
            cells[3] = f"{1000 * lag_of(*self.turns):.1f} ms"
        return self.name, *cells


def introduction(figures: Figures) -> str:
    """Return what the figures mean for a user."""

    def cpu(name: str, group: str = ONE_BY_ONE) -> float:
        return 1000 * median(map(cpu_of, figures[group, name]))

    def rate(name: str, group: str = ONE_BY_ONE) -> float:
        return round(1000 / cpu(name, group), -1)

    default, fast, well = cpu("WonderClient"), cpu("WonderClient, fast"), cpu("requests written well")
    text = INTRODUCTION.format(
        default=default,
        fast=fast,
        signature=cpu("signature alone"),
        default_rate=rate("WonderClient"),
        fast_rate=rate("WonderClient, fast"),
        async_rate=rate("AsyncWonderClient", IN_FLIGHT),
        async_fast_rate=rate("AsyncWonderClient, fast", IN_FLIGHT),
        by_hand=cpu("requests by hand") / default,
        key=cpu("requests by hand") - well,
        well=well,
        well_to_default=well / default,
        well_to_fast=well / fast,
    )
    return "\n\n".join(textwrap.fill(paragraph, 120, break_on_hyphens=False) for paragraph in text.split("\n\n"))


def machine() -> str:
    """Return what the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        cpu = next((line for line in cpus.read_text().splitlines() if line.startswith("model name")), cpu)
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores ({cpu.partition(': ')[2] or cpu}){load}"
    return f"{system}, Python {platform.python_version()}"


def page(targets: Sequence[tuple[str, ...]], figures: Figures, seconds: float) -> str:
    """Return RESULTS.md."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES.split())
    rows = [Row(f"{name}, {group}", turns).cells() for (group, name), turns in figures.items()]
    return (
        f"# Speed\n\n{introduction(figures)}\n\n"
        f"{TARGETS}\n"
        f"{table([('what', 'target', 'measured', 'met'), *targets])}\n"
        "## Figures\n\n"
        f"{table([('', 'time of a call', 'CPU of a call', 'calls a second', 'event loop lag, p99'), *rows])}\n"
        f"{machine()}; {libraries}. The run took {seconds:.0f} s.\n\n"
        f"{METHOD}"
    )
