"""``wonder-payment sweep``: tokens from a file, answers as JSON lines, to be stopped and gone on with."""

from __future__ import annotations

import asyncio
import csv
import json
import signal
import sys
import threading
from contextlib import aclosing, nullcontext, suppress
from typing import IO, TYPE_CHECKING, Any, Self, cast

import attrs
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
from rich.text import Text

import wonder_payment

from .errors import InvalidTokenError, WonderError, redact

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from .sweep import Outcome
    from .token import PaymentToken

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
        tokens = _Tokens(source, column)
        with _Results(output) as results:
            status = _run(tokens, results, concurrency=concurrency, customer_uuid=customer_uuid)
    except _UsageError as error:
        problem, status = str(error), _USAGE
    except WonderError as error:
        problem, status = str(error.args[0]), _USAGE if isinstance(error, InvalidTokenError) else _NOT_ALL
    else:
        problem = results.summary(is_stopped=status == _STOPPED)
    if problem:
        typer.echo(f"wonder-payment: {problem}", err=True)
    raise typer.Exit(status)


class _UsageError(Exception):
    """The command line names something that can't be used."""


@attrs.frozen
class _Tokens:
    """Where the tokens stand.

    Attributes:
        path: The file; ``-`` is stdin.
        column: The column of a CSV; None: each line is a token.

    Raises:
        _UsageError: There is no such file.
    """

    path: Path
    column: str | None

    def __attrs_post_init__(self) -> None:
        if not self._is_stdin and not self.path.exists():
            raise _UsageError(f"{self.path} does not exist.")
        if self.path.is_dir():
            raise _UsageError(f"{self.path} is a directory.")

    @property
    def _is_stdin(self) -> bool:
        return str(self.path) == "-"

    def each(self) -> Iterator[str]:
        """Read them one by one, without those that are blank.

        Raises:
            _UsageError: There is no such column, or it is no CSV.
            OSError: The file can't be read.
        """
        # Not sys.stdin: the interpreter closes it at its end, and fails where a thread still reads from it.
        place = sys.stdin.fileno() if self._is_stdin else self.path
        # What is no UTF-8 is no token. A spreadsheet begins its CSV with a byte order mark.
        with open(place, encoding="utf-8-sig", errors="replace", newline="", closefd=not self._is_stdin) as file:
            for text in self._column(file) if self.column is not None else file:
                if token := text.strip():
                    yield token

    def count(self) -> int | None:
        """Return how many there are; None where to read them is to lose them."""
        return None if self._is_stdin or not self.path.is_file() else sum(1 for _ in self.each())

    def _column(self, file: IO[str]) -> Iterator[str]:
        try:
            rows = csv.DictReader(file)
            names = rows.fieldnames or []
            if self.column not in names:
                known = ", ".join(redact(name) for name in names) or "none"
                raise _UsageError(f"There is no column {redact(self.column or '')}. The columns are: {known}.")
            for row in rows:
                yield row[self.column] or ""
        except csv.Error as error:
            problem = redact(str(error))
        else:
            return
        raise _UsageError(f"This is no CSV: {problem}.")


class _Results:
    """Where the lines go, and which tokens have an answer there: 16 bytes of each are remembered.

    Args:
        path: The file to go on with; None: stdout.

    Raises:
        _UsageError: The file is there and is no output of a sweep. It is left as it is.
        OSError: The file can't be read or written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.known: set[bytes] = set()
        self.answered = self.failed = 0
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self._path is None:
            return self
        self._path.touch(mode=0o600)  # no other user is to read it; the mode of one that is there stays
        with self._path.open("r+b") as file:
            end = 0
            for line in file:
                if not line.startswith(b'{"token_id": "'[: len(line)]):
                    raise _UsageError(
                        f"{self._path} holds something else than the lines of a sweep: name another file."
                    )
                if not line.endswith(b"\n"):
                    file.truncate(end)  # torn by a kill
                    break
                end += len(line)
                self._remember(line)
        self.answered = len(self.known)
        self._file = self._path.open("a", encoding="ascii")
        return self

    def __exit__(self, *error: object) -> None:
        if self._file:
            self._file.close()

    def write(self, outcome: Outcome) -> None:
        """Write the line of an outcome, and let nothing of it wait in this process."""
        line = _answer(outcome.token_id, outcome.token) if outcome.token else _failure(outcome)
        file = self._file or sys.stdout
        file.write(json.dumps(line) + "\n")
        file.flush()
        self.answered += outcome.error is None
        self.failed += outcome.error is not None

    def summary(self, *, is_stopped: bool) -> str:
        """Say what is left to do, if there is anything."""
        again = "The same command" if self._path else "With --output FILE, the same command"
        if is_stopped:
            return f"stopped. Answered so far: {self.answered:,}. {again} goes on from there."
        if self.failed:
            return f"failed to be asked: {self.failed:,}; answered: {self.answered:,}. {again} asks for the rest again."
        return ""

    def _remember(self, line: bytes) -> None:
        with suppress(ValueError, TypeError, KeyError):  # what can't be read is asked again
            known = json.loads(line)
            if "error" not in known:
                self.known.add(_key(known["token_id"]))


def _answer(token_id: str, token: PaymentToken) -> dict[str, Any]:
    card = token.card and {
        "brand": _redacted(token.card.brand),
        "last4": token.card.last4,
        "expires_on": token.card.expires_on and token.card.expires_on.isoformat(),
    }
    return {
        "token_id": token_id,
        "state": redact(token.state),
        "is_verified": token.is_verified,
        "token_type": redact(token.token_type),
        "is_default": token.is_default,
        "error_code": _redacted(token.error_code),
        "error_message": _redacted(token.error_message),
        "card": card,
        "request_id": token.request_id,
    }


def _failure(outcome: Outcome) -> dict[str, Any]:
    error = outcome.error
    # Whatever stood in its place may be a card number.
    token_id = redact(outcome.token_id) if isinstance(error, InvalidTokenError) else outcome.token_id
    told = {"type": type(error).__name__, "message": str(error and error.args[0])}
    return {"token_id": token_id, "error": told | {"request_id": error and error.request_id}}


def _redacted(text: str | None) -> str | None:
    return None if text is None else redact(text)


class _Rate(ProgressColumn):
    """Tokens a second."""

    def render(self, task: Any) -> Text:
        return Text(f"{task.speed or 0:.0f}/s", style="progress.data.speed")


def _run(tokens: _Tokens, results: _Results, **options: Any) -> int:
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


async def _ask(tokens: _Tokens, results: _Results, progress: Progress, options: dict[str, Any]) -> None:
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
                key = _key(token)
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


def _key(token: str) -> bytes:
    """Return what tells one token from another, whatever its spelling."""
    from .config import checked_uuid  # noqa: PLC0415 (no --help needs it)

    return checked_uuid("token", token).bytes
