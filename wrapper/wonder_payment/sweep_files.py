"""The files of ``wonder-payment sweep``: the tokens that go in, and the JSON lines that come out."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Self

import attrs

from .errors import InvalidTokenError, redact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .sweep import Outcome
    from .token import PaymentToken

__all__ = ["Results", "Tokens", "UsageError", "key_of"]


class UsageError(Exception):
    """The command line names something that can't be used."""


@attrs.frozen
class Tokens:
    """Where the tokens stand.

    Attributes:
        path: The file; ``-`` is stdin.
        column: The column of a CSV; None: each line is a token.

    Raises:
        UsageError: There is no such file.
    """

    path: Path
    column: str | None

    def __attrs_post_init__(self) -> None:
        if not self._is_stdin and not self.path.exists():
            raise UsageError(f"{self.path} does not exist.")
        if self.path.is_dir():
            raise UsageError(f"{self.path} is a directory.")

    @property
    def _is_stdin(self) -> bool:
        return str(self.path) == "-"

    def each(self) -> Iterator[str]:
        """Read them one by one, without those that are blank.

        Raises:
            UsageError: There is no such column, or it is no CSV.
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
                raise UsageError(f"There is no column {redact(self.column or '')}. The columns are: {known}.")
            for row in rows:
                yield row[self.column] or ""
        except csv.Error as error:
            problem = redact(str(error))
        else:
            return
        raise UsageError(f"This is no CSV: {problem}.")


class Results:
    """Where the lines go, and which tokens have an answer there: 16 bytes of each are remembered.

    Args:
        path: The file to go on with; None: stdout.

    Raises:
        UsageError: The file is there and is no output of a sweep. It is left as it is.
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
                    raise UsageError(f"{self._path} holds something else than the lines of a sweep: name another file.")
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
                self.known.add(key_of(known["token_id"]))


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


def key_of(token: str) -> bytes:
    """Return what tells one token from another, whatever its spelling."""
    from .config import checked_uuid  # noqa: PLC0415 (no --help needs it)

    return checked_uuid("token", token).bytes
