"""``wonder-payment batch``: checks tokens from a file and writes JSON lines. It can be stopped and continued."""

import asyncio
import os
import signal
import stat
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
from rich.text import Text

from wonder_payment import AsyncWonderClient, InvalidTokenError, TokenReference, WonderError

from .batch_results import Results
from .batch_tokens import Item, Tokens, UsageError
from .output import ExitStatus, can_draw, is_terminal, message, print_error, show_log
from .tokens import CustomerUuid, Verbose, VerifyUuid

_Source = Annotated[
    Path, typer.Argument(metavar="FILE|-", help="A file with one token per line, or a CSV file. - reads stdin.")
]
_Column = Annotated[
    str | None,
    typer.Option(help="The CSV column with the tokens, if it is not recognised.", metavar="NAME"),
]
_CustomerColumn = Annotated[
    str | None, typer.Option(help="The column with the UUID of each token's customer.", metavar="NAME")
]
_VerifyColumn = Annotated[
    str | None, typer.Option(help="The column with the verify_uuid of each token.", metavar="NAME")
]
_Output = Annotated[
    Path | None,
    typer.Option(
        help="Write to this file instead of stdout. The same command continues the file.",
        metavar="FILE",
        dir_okay=False,
    ),
]
_Recheck = Annotated[
    Literal["pending"] | None,
    typer.Option(help="Check pending tokens again. Needs --output.", metavar="pending"),
]
_Concurrency = Annotated[
    int, typer.Option(help="How many tokens to check at a time.", metavar="NUMBER", min=1, max=10_000)
]

_MaxPerSecond = Annotated[
    float | None,
    typer.Option(
        "--rate",
        help="How many requests to start per second, including retries.",
        metavar="NUMBER",
        min=0.001,
        max=1e9,
        show_default=False,
    ),
]

# How many tokens are read before they are checked.
_MAX_READ_AHEAD = 64


def batch(
    source: _Source,
    *,
    column: _Column = None,
    customer_column: _CustomerColumn = None,
    verify_column: _VerifyColumn = None,
    output: _Output = None,
    recheck: _Recheck = None,
    concurrency: _Concurrency = 16,
    max_per_second: _MaxPerSecond = None,
    customer_uuid: CustomerUuid = None,
    verify_uuid: VerifyUuid = None,
    verbose: Verbose = False,
) -> None:
    """Check many tokens and write the results as JSON lines.

    With --output, you can stop the run and continue it with the same command. Tokens that already have a result are
    not checked again. The exit status is 0 if every check succeeded, whatever the state of the token, 1 if some checks
    failed, 2 for wrong usage, and 130 if the run was stopped.
    """
    if verbose:
        show_log()
    if recheck and output is None:
        raise typer.BadParameter("--recheck needs --output.")
    try:
        tokens = Tokens(source, column, customer_column, verify_column, customer_uuid, verify_uuid)
        with Results(output, rechecks_pending=recheck == "pending") as results:
            status = _run(tokens, results, concurrency=concurrency, max_per_second=max_per_second)
    except UsageError as error:
        problem, status = str(error), ExitStatus.USAGE
    except WonderError as error:
        is_usage = isinstance(error, InvalidTokenError)
        problem, status = message(error), ExitStatus.USAGE if is_usage else ExitStatus.ERROR
    else:
        problem = results.summary(is_stopped=status == ExitStatus.STOPPED)
    print_error(problem)
    raise typer.Exit(status)


class _Rate(ProgressColumn):
    """Tokens per second."""

    def render(self, task: Any) -> Text:
        # rich drops its samples when the total changes, as it does at the end: then show the average.
        average = task.completed / task.elapsed if task.elapsed else 0.0
        return Text(f"{task.speed or average:.0f}/s", style="progress.data.speed")


def _run(tokens: Tokens, results: Results, **options: Any) -> int:
    """Check the tokens that have no result yet, and return the exit status."""
    console = Console(stderr=True, soft_wrap=True)
    columns = BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(elapsed_when_finished=True)
    is_shown = can_draw(console) and not _is_pipe(sys.stdout)
    # On a terminal, rich prints the lines above the bar. Anything else gets them unchanged.
    progress = Progress(*columns, console=console, disable=not is_shown, redirect_stdout=is_terminal(sys.stdout))
    with progress:
        try:
            asyncio.run(_check(tokens, results, progress, **options))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return ExitStatus.STOPPED
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return ExitStatus.ERROR if results.has_errors else 0


def _is_pipe(stream: TextIO | None) -> bool:
    """Return whether a stream is a pipe. The program at its end may write to the terminal that has the bar."""
    return stream is not None and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)


async def _check(tokens: Tokens, results: Results, progress: Progress, **options: Any) -> None:
    _cancel_at_sigterm()
    bar = progress.add_task("", total=None)
    if tokens.can_be_read_twice and not progress.disable:
        progress.reset(bar, total=await _count(tokens, set(results.known)))

    def report_invalid(item: Item) -> None:
        results.write_invalid(item)
        progress.advance(bar)

    async with (
        AsyncWonderClient.from_env() as wonder,
        aclosing(_from_thread(_remaining(tokens, results.known), report_invalid)) as source,
        aclosing(wonder.check_tokens(source, **options)) as checked,
    ):
        async for result in checked:
            results.write(result)
            progress.advance(bar)
    results.forget_invalid()
    progress.update(bar, total=progress.tasks[0].completed)


def _cancel_at_sigterm() -> None:
    """Let SIGTERM cancel this task at its next await, so never in the middle of a line. asyncio does so for Ctrl-C."""
    task = cast("asyncio.Task[None]", asyncio.current_task())
    loop = task.get_loop()
    try:
        # This also makes the system wake the loop for every signal. Without it, a signal that arrives just before the
        # loop goes to sleep, or in another thread, has no effect until the next event: on an idle stdin, there is none.
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    except NotImplementedError:  # on Windows, whose loop is always woken

        def cancel(_signal: int, _frame: object) -> None:
            loop.call_soon_threadsafe(task.cancel)

        signal.signal(signal.SIGTERM, cancel)


async def _count(tokens: Tokens, known: set[bytes]) -> int:
    """Return how many tokens are to be checked."""
    is_ended = threading.Event()

    def count() -> int:
        return sum(1 for _ in takewhile(lambda _: not is_ended.is_set(), _remaining(tokens, known)))

    try:
        return await asyncio.to_thread(count)
    finally:
        is_ended.set()  # Ctrl-C does not end the thread


def _remaining(tokens: Tokens, known: set[bytes]) -> Iterator[Item]:
    """Yield the tokens that are not known, each once, and what is not a UUID. ``known`` gets the keys of the tokens."""
    for item in tokens.each():
        if item.key not in known:
            yield item
        if item.key:
            known.add(item.key)


async def _from_thread(items: Iterator[Item], report_invalid: Callable[[Item], None]) -> AsyncGenerator[TokenReference]:
    """Yield tokens that a thread reads, so that a slow source delays no result.

    It is a daemon thread: a read of stdin ends only with a line, and the program must be able to end before that.
    """
    loop = asyncio.get_running_loop()
    read: asyncio.Queue[Item | Exception | None] = asyncio.Queue()
    room = threading.Semaphore(_MAX_READ_AHEAD)

    def work() -> None:
        ending: Exception | None = None
        with suppress(RuntimeError):  # the loop was closed
            try:
                for item in items:
                    room.acquire()
                    loop.call_soon_threadsafe(read.put_nowait, item)
            except Exception as error:  # noqa: BLE001 (the generator raises it)
                ending = error
            loop.call_soon_threadsafe(read.put_nowait, ending)

    threading.Thread(target=work, daemon=True).start()
    while isinstance(item := await read.get(), Item):
        room.release()
        if item.key is None:
            report_invalid(item)
        else:
            yield item.reference
    if item:
        raise item
