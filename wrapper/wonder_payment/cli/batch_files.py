"""The files of ``wonder-payment batch``: tokens in, JSON lines out."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import attrs

from wonder_payment import CheckResult, InvalidTokenError, PaymentToken, TokenReference
from wonder_payment._redact import redact
from wonder_payment.config import checked_customer, checked_uuid


class UsageError(Exception):
    """The command line names something that cannot be used."""


@attrs.frozen
class Tokens:
    """The tokens to check, each with the UUIDs that the gateway may need.

    Attributes:
        path: The file; ``-`` is stdin.
        column: The column of a CSV file that has the tokens. None: each line is a token.
        customer_column: The column that has the UUID of each token's customer, if any; an empty cell has none.
        verify_column: The column that has the ``verify_uuid`` of each token, if any.
        customer_uuid: The UUID of the customer whom all tokens belong to, in place of a column.
        verify_uuid: The ``verify_uuid`` of all tokens, in place of a column.

    Raises:
        UsageError: The file does not exist, it is a directory, or the options contradict each other.
        InvalidTokenError: ``customer_uuid`` or ``verify_uuid`` is not a UUID.
    """

    path: Path
    column: str | None
    customer_column: str | None = None
    verify_column: str | None = None
    customer_uuid: str | None = attrs.field(default=None, repr=False)
    verify_uuid: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        checked_customer(self.customer_uuid)
        if self.verify_uuid is not None:
            checked_uuid("verify_uuid", self.verify_uuid)
        for name in ("customer", "verify"):
            if getattr(self, f"{name}_column") is None:
                continue
            if self.column is None:
                raise UsageError(f"--{name}-column needs --column, the column that has the tokens.")
            if getattr(self, f"{name}_uuid") is not None:
                raise UsageError(f"Use --{name}-column or --{name}-uuid, not both.")
        if self._is_stdin and sys.stdin is None:
            raise UsageError("stdin is closed.")
        if not self._is_stdin and not self.path.exists():
            raise UsageError(f"{self.path} does not exist.")
        if self.path.is_dir():
            raise UsageError(f"{self.path} is a directory.")

    @property
    def _is_stdin(self) -> bool:
        return str(self.path) == "-"

    def each(self) -> Iterator[TokenReference]:
        """Read the tokens one by one. Blank lines are skipped.

        Raises:
            UsageError: The file does not have a column, or it is not a CSV file.
            OSError: The file cannot be read.
        """
        # Not sys.stdin: the interpreter closes it at exit, and fails if a thread still reads from it.
        source = sys.stdin.fileno() if self._is_stdin else self.path
        # Bytes that are not UTF-8 make an invalid token, not an error. Spreadsheets write a byte order mark.
        with open(source, encoding="utf-8-sig", errors="replace", newline="", closefd=not self._is_stdin) as file:
            rows = self._rows(file) if self.column is not None else ((line, None, None) for line in file)
            for token, customer_uuid, verify_uuid in rows:
                if token and (text := token.strip()):
                    yield TokenReference(
                        text, _cell(customer_uuid) or self.customer_uuid, _cell(verify_uuid) or self.verify_uuid
                    )

    def count(self) -> int | None:
        """Return the number of tokens; None if the source can be read only once."""
        return None if self._is_stdin or not self.path.is_file() else sum(1 for _ in self.each())

    def _rows(self, file: IO[str]) -> Iterator[Sequence[str | None]]:
        columns = (self.column, self.customer_column, self.verify_column)
        try:
            rows = csv.DictReader(file)
            names = rows.fieldnames or []
            for column in columns:
                if column is not None and column not in names:
                    known = ", ".join(redact(name) for name in names) or "none"
                    raise UsageError(f"The file has no column {redact(column)}. Its columns are: {known}.")
            for row in rows:
                yield [None if column is None else row[column] for column in columns]
        except csv.Error as error:
            problem = redact(str(error))
        else:
            return
        raise UsageError(f"The file is not a CSV file: {problem}.")


class Results:
    """The results that are written, and the keys of the tokens that have one: 16 bytes in memory for each.

    Args:
        path: The file to continue; None: stdout.

    Raises:
        UsageError: The file exists and is not the output of a batch; it is not changed. Or stdout is closed.
        OSError: The file cannot be read or written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.known: set[bytes] = set()
        self.succeeded = self.failed = 0
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self._path is None:
            if sys.stdout is None:
                raise UsageError("stdout is closed. Use --output FILE.")
            return self
        self._path.touch(mode=0o600)  # for this user only; an existing file keeps its mode
        with self._path.open("r+b") as file:
            end = 0
            for line in file:
                if not line.startswith(b'{"token_id": "'[: len(line)]):
                    raise UsageError(f"{self._path} is not the output of a batch. Choose another file.")
                if not line.endswith(b"\n"):
                    file.truncate(end)  # cut off when the process was killed
                    break
                end += len(line)
                self._remember(line)
        self.succeeded = len(self.known)
        self._file = self._path.open("a", encoding="ascii", newline="\n")
        return self

    def __exit__(self, *error: object) -> None:
        if self._file:
            self._file.close()

    def write(self, result: CheckResult) -> None:
        """Write the line of a result at once, so that no result is lost when the process is killed."""
        line = _success(result.token_id, result.token) if result.token else _failure(result)
        file = self._file or sys.stdout
        file.write(json.dumps(line) + "\n")
        file.flush()
        self.succeeded += result.error is None
        self.failed += result.error is not None

    def summary(self, *, is_stopped: bool) -> str:
        """Return what is left to do; an empty text if every check succeeded."""
        command = "Run the same command again" if self._path else "Use --output FILE, then run the same command again"
        if is_stopped:
            return f"stopped; tokens checked so far: {self.succeeded:,}. {command} to continue."
        if self.failed:
            return (
                f"failed checks: {self.failed:,}; successful: {self.succeeded:,}. {command} to retry the failed ones."
            )
        return ""

    def _remember(self, line: bytes) -> None:
        with suppress(ValueError, TypeError, KeyError):  # a token whose line cannot be read is checked again
            known = json.loads(line)
            if "error" not in known:
                self.known.add(key_of(known["token_id"]))


def _success(token_id: str, token: PaymentToken) -> dict[str, Any]:
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


def _failure(result: CheckResult) -> dict[str, Any]:
    error = result.error
    try:
        key_of(result.token_id)
        token_id = result.token_id
    except InvalidTokenError:
        token_id = redact(result.token_id)  # it may be a card number
    fields = {"type": type(error).__name__, "message": str(error and error.args[0])}
    return {"token_id": token_id, "error": fields | {"request_id": error and error.request_id}}


def _cell(text: str | None) -> str | None:
    return (text or "").strip() or None


def _redacted(text: str | None) -> str | None:
    return None if text is None else redact(text)


def key_of(token: str) -> bytes:
    """Return the bytes of a token's UUID, the same for every spelling.

    Raises:
        InvalidTokenError: It is not a UUID.
    """
    return checked_uuid("token", token).bytes
