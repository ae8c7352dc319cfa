"""``wonder-payment batch``: checks tokens from a file and writes JSON lines. It can be stopped and continued."""

import asyncio
import os
import signal
import stat
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import attrs
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
from rich.text import Text

from wonder_payment import AsyncWonderClient, InvalidTokenError, TokenReference, WonderError

from .batch_files import Results, Tokens, UsageError, key_of
from .output import ExitStatus, can_draw, is_terminal, message, print_error
from .tokens import CustomerUuid, VerifyUuid

_Source = Annotated[Path, typer.Argument(metavar="FILE|-", help="The tokens, one per line; - reads stdin.")]
_Column = Annotated[str | None, typer.Option(help="The column of a CSV file that has the tokens.", metavar="NAME")]
_CustomerColumn = Annotated[
    str | None, typer.Option(help="The column that has the UUID of each token's customer.", metavar="NAME")
]
_VerifyColumn = Annotated[
    str | None, typer.Option(help="The column that has the verify_uuid of each token.", metavar="NAME")
]
_Output = Annotated[
    Path | None,
    typer.Option(
        help="Write to this file, not to stdout. The same command continues it.", metavar="FILE", dir_okay=False
    ),
]
_Concurrency = Annotated[
    int, typer.Option(help="How many tokens to check at a time.", metavar="NUMBER", min=1, max=10_000)
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
    concurrency: _Concurrency = 16,
    customer_uuid: CustomerUuid = None,
    verify_uuid: VerifyUuid = None,
) -> None:
    """Check many tokens and write the results as JSON lines.

    With --output you can stop the run, and the same command continues it. The exit status is 0 if every check succeeded
    (whatever the state of the token), 1 if some failed, 2 for wrong usage, 130 if the run was stopped.
    """
    try:
        tokens = Tokens(source, column, customer_column, verify_column, customer_uuid, verify_uuid)
        with Results(output) as results:
            status = _run(tokens, results, concurrency)
    except UsageError as error:
        problem, status = str(error), ExitStatus.USAGE
    except WonderError as error:
        is_usage = isinstance(error, InvalidTokenError)
        problem, status = message(error), ExitStatus.USAGE if is_usage else ExitStatus.ERROR
    else:
        problem = results.summary(is_stopped=status == ExitStatus.STOPPED)
    if problem:
        print_error(problem)
    raise typer.Exit(status)


class _Rate(ProgressColumn):
    """Tokens per second."""

    def render(self, task: Any) -> Text:
        # rich drops its samples when the total changes, as it does at the end: then show the average.
        average = task.completed / task.elapsed if task.elapsed else 0.0
        return Text(f"{task.speed or average:.0f}/s", style="progress.data.speed")


def _run(tokens: Tokens, results: Results, concurrency: int) -> int:
    """Check the tokens that have no result yet, and return the exit status."""
    console = Console(stderr=True, soft_wrap=True)
    columns = BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(elapsed_when_finished=True)
    is_shown = can_draw(console) and not _is_pipe(sys.stdout)
    # On a terminal, rich prints the lines above the bar. Anything else gets them unchanged.
    progress = Progress(*columns, console=console, disable=not is_shown, redirect_stdout=is_terminal(sys.stdout))
    with progress:
        try:
            asyncio.run(_check(tokens, results, progress, concurrency))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return ExitStatus.STOPPED
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return ExitStatus.ERROR if results.failed else 0


def _is_pipe(stream: TextIO | None) -> bool:
    """Return whether a stream is a pipe. The program at its end may write to the terminal that has the bar."""
    return stream is not None and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)


async def _check(tokens: Tokens, results: Results, progress: Progress, concurrency: int) -> None:
    this = cast("asyncio.Task[None]", asyncio.current_task())
    loop = this.get_loop()

    # SIGTERM cancels the task at its next await, so never in the middle of a line. asyncio does so for Ctrl-C. Windows
    # has no loop.add_signal_handler().
    def cancel(_signal: int, _frame: object) -> None:
        loop.call_soon_threadsafe(this.cancel)

    signal.signal(signal.SIGTERM, cancel)
    total = None if progress.disable else await asyncio.to_thread(tokens.count)
    bar = progress.add_task("", total=total)
    remaining = _Remaining(tokens.each(), results.known)
    async with (
        AsyncWonderClient.from_env() as wonder,
        aclosing(_from_thread(remaining)) as source,
        aclosing(wonder.check_tokens(source, concurrency=concurrency)) as checked,
    ):
        async for result in checked:
            results.write(result)
            # Skipped tokens are not work: counting them would inflate the rate.
            progress.update(bar, advance=1, total=total and total - remaining.skipped)
    progress.update(bar, total=progress.tasks[0].completed)


@attrs.define
class _Remaining:
    """The tokens that are not checked yet, each once.

    Attributes:
        tokens: All tokens.
        known: The keys of the tokens that have a result. The keys of the tokens that are yielded are added.
        skipped: How many tokens were left out so far.
    """

    tokens: Iterator[TokenReference]
    known: set[bytes]
    skipped: int = 0

    def __iter__(self) -> Iterator[TokenReference]:
        for token in self.tokens:
            try:
                key = key_of(str(token.token))
            except InvalidTokenError:
                yield token  # its result will be this error
                continue
            if key in self.known:
                self.skipped += 1
            else:
                self.known.add(key)
                yield token


async def _from_thread(tokens: _Remaining) -> AsyncGenerator[TokenReference]:
    """Yield tokens that a thread reads, so that a slow source delays no result.

    It is a daemon thread: a read of stdin ends only with a line, and the program must be able to end before that.
    """
    loop = asyncio.get_running_loop()
    read: asyncio.Queue[TokenReference | Exception | None] = asyncio.Queue()
    room = threading.Semaphore(_MAX_READ_AHEAD)

    def work() -> None:
        ending: Exception | None = None
        with suppress(RuntimeError):  # the loop was closed
            try:
                for token in tokens:
                    room.acquire()
                    loop.call_soon_threadsafe(read.put_nowait, token)
            except Exception as error:  # noqa: BLE001 (the generator raises it)
                ending = error
            loop.call_soon_threadsafe(read.put_nowait, ending)

    threading.Thread(target=work, daemon=True).start()
    while isinstance(token := await read.get(), TokenReference):
        room.release()
        yield token
    if token:
        raise token
