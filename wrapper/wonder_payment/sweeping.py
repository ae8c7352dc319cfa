"""``wonder-payment sweep``: tokens from a file, answers as JSON lines, to be stopped and gone on with."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from contextlib import aclosing, nullcontext, suppress
from typing import TYPE_CHECKING, Any, cast

import attrs
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
from rich.text import Text

import wonder_payment

from .errors import InvalidTokenError, WonderError
from .sweep_files import Results, Tokens, UsageError, key_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

__all__ = ["sweep"]

# Exit statuses, beside 0: every token was asked.
_NOT_ALL, _USAGE, _STOPPED = 1, 2, 130

# Tokens read before they are asked for.
_AHEAD = 64


def sweep(
    source: Path, *, column: str | None, output: Path | None, concurrency: int, customer_uuid: str | None
) -> None:
    """Ask for each token of a file, and end the program with the exit status."""
    try:
        tokens = Tokens(source, column)
        with Results(output) as results:
            status = _run(tokens, results, concurrency=concurrency, customer_uuid=customer_uuid)
    except UsageError as error:
        problem, status = str(error), _USAGE
    except WonderError as error:
        problem, status = str(error.args[0]), _USAGE if isinstance(error, InvalidTokenError) else _NOT_ALL
    else:
        problem = results.summary(is_stopped=status == _STOPPED)
    if problem:
        typer.echo(f"wonder-payment: {problem}", err=True)
    raise typer.Exit(status)


class _Rate(ProgressColumn):
    """Tokens a second."""

    def render(self, task: Any) -> Text:
        return Text(f"{task.speed or 0:.0f}/s", style="progress.data.speed")


def _run(tokens: Tokens, results: Results, **options: Any) -> int:
    """Ask for what has no answer yet, and return the exit status."""
    console = Console(stderr=True, soft_wrap=True)
    columns = BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(elapsed_when_finished=True)
    # On a terminal the lines stand above the bar; what is no terminal gets them as they are.
    progress = Progress(*columns, console=console, disable=not console.is_terminal, redirect_stdout=sys.stdout.isatty())
    with nullcontext() if progress.disable else progress:  # rich before 14 ends a disabled one with an empty line
        try:
            asyncio.run(_ask(tokens, results, progress, options))
        except (asyncio.CancelledError, KeyboardInterrupt):
            return _STOPPED
    return _NOT_ALL if results.failed else 0


async def _ask(tokens: Tokens, results: Results, progress: Progress, options: dict[str, Any]) -> None:
    this = cast("asyncio.Task[None]", asyncio.current_task())
    for number in (signal.SIGINT, signal.SIGTERM):
        # At once, and never in the middle of a line.
        this.get_loop().add_signal_handler(number, this.cancel)
    total = None if progress.disable else await asyncio.to_thread(tokens.count)
    bar = progress.add_task("", total=total)
    left = _Left(tokens.each(), results.known)
    async with (
        wonder_payment.AsyncWonderClient.from_env() as wonder,
        aclosing(_from_thread(left)) as source,
        aclosing(wonder.check_tokens(source, **options)) as outcomes,
    ):
        async for outcome in outcomes:
            results.write(outcome)
            # What is passed over is no work, and would make the rate a dream.
            progress.update(bar, advance=1, total=total and total - left.passed_over)
    progress.update(bar, total=progress.tasks[0].completed)


@attrs.define
class _Left:
    """The tokens that are left to be asked, each once.

    Attributes:
        tokens: All of them.
        known: Those that were asked already; those that come out are added.
        passed_over: How many were left out so far.
    """

    tokens: Iterator[str]
    known: set[bytes]
    passed_over: int = 0

    def __iter__(self) -> Iterator[str]:
        for token in self.tokens:
            try:
                key = key_of(token)
            except InvalidTokenError:
                yield token  # the sweep says so
                continue
            if key in self.known:
                self.passed_over += 1
            else:
                self.known.add(key)
                yield token


async def _from_thread(tokens: _Left) -> AsyncGenerator[str]:
    """Yield the tokens as a thread reads them, so that a slow source holds no answer back.

    The thread is one that nobody waits for at the end: nothing but a line ends a read of stdin.
    """
    loop = asyncio.get_running_loop()
    read: asyncio.Queue[str | Exception | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def work() -> None:
        ending: Exception | None = None
        with suppress(RuntimeError):  # the loop was stopped
            try:
                for token in tokens:
                    room.acquire()
                    loop.call_soon_threadsafe(read.put_nowait, token)
            except Exception as error:  # noqa: BLE001 (it is raised where the tokens are wanted)
                ending = error
            loop.call_soon_threadsafe(read.put_nowait, ending)

    threading.Thread(target=work, daemon=True).start()
    while isinstance(token := await read.get(), str):
        room.release()
        yield token
    if token:
        raise token
