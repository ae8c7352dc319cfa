"""The tokens of ``wonder-payment batch``: a list, or a column of a CSV file."""

import csv
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, TypeAlias

import attrs

from wonder_payment import InvalidTokenError, TokenReference
from wonder_payment._redact import redact
from wonder_payment.config import checked_customer, checked_uuid

# The names of the column that has the tokens, and how many rows are read to recognise another one.
_TOKEN_COLUMNS = {"token", "payment_token", "token_id"}
_SAMPLE = 20

_SEPARATORS = ",;\t"

_Row: TypeAlias = tuple[int, dict[Any, Any]]


class UsageError(Exception):
    """The command line names something that cannot be used."""


@attrs.frozen
class Item:
    """A token of the source.

    Attributes:
        line: The number of its line, from 1; of a CSV row with several lines, the last one.
        reference: The token, with the UUIDs that the gateway may need.
        key: The bytes of its UUID, the same for every spelling; None if it is not a UUID.
    """

    line: int
    reference: TokenReference
    key: bytes | None


@attrs.frozen
class Tokens:
    """The tokens to check, each with the UUIDs that the gateway may need.

    Attributes:
        path: The file; ``-`` is stdin.
        column: The column of a CSV file that has the tokens. None: the column is recognised, or each line is a token.
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
            if getattr(self, f"{name}_column") is not None and getattr(self, f"{name}_uuid") is not None:
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

    @property
    def can_be_read_twice(self) -> bool:
        """Whether the source is a file, and not stdin or a pipe."""
        return not self._is_stdin and self.path.is_file()

    def each(self) -> Iterator[Item]:
        """Read the tokens one by one. Blank lines are skipped.

        Raises:
            UsageError: The file does not have a column, its column is not recognised, or it is not a CSV file.
            OSError: The file cannot be read.
        """
        # Not sys.stdin: the interpreter closes it at exit, and fails if a thread still reads from it.
        source = sys.stdin.fileno() if self._is_stdin else self.path
        # Bytes that are not UTF-8 make an invalid token, not an error. Spreadsheets write a byte order mark.
        with open(source, encoding="utf-8-sig", errors="replace", newline="", closefd=not self._is_stdin) as file:
            for line, token, customer_uuid, verify_uuid in self._cells(file):
                if text := _cell(token):
                    reference = TokenReference(
                        text, _cell(customer_uuid) or self.customer_uuid, _cell(verify_uuid) or self.verify_uuid
                    )
                    yield Item(line, reference, key_of(text))

    def _cells(self, file: IO[str]) -> Iterator[tuple[int, str | None, str | None, str | None]]:
        """Yield the number of each line, its token, its customer's UUID and its ``verify_uuid``."""
        number, first = next(((number, line) for number, line in enumerate(file, 1) if line.strip()), (1, ""))
        options = (self.column, self.customer_column, self.verify_column)
        separator = _separator(first)
        if options == (None, None, None) and separator is None and not _is_token_column(first):
            for line, token in enumerate(chain([first], file), number):
                yield line, token, None, None
            return
        try:
            rows = csv.DictReader(chain([first], file), delimiter=separator or ",")
            names = list(rows.fieldnames or [])
            _check_columns(options, names)
            numbered = ((number - 1 + rows.line_num, row) for row in rows)
            column, read = (self.column, []) if self.column is not None else self._recognised(names, numbered)
            for line, row in chain(read, numbered):
                customer_uuid, verify_uuid = (None if name is None else row[name] for name in options[1:])
                yield line, row[column], customer_uuid, verify_uuid
        except csv.Error as error:
            problem = redact(str(error))
        else:
            return
        raise UsageError(f"The file is not a CSV file: {problem}.")

    def _recognised(self, names: list[str], rows: Iterator[_Row]) -> tuple[str, list[_Row]]:
        """Return the column that has the tokens, and the rows that were read to find it."""
        if any(key_of(name.strip()) for name in names):
            problem = "The first line has a UUID instead of the name of a column."
            raise UsageError(f"{problem} Add a line with the names of the columns.")
        named = [name for name in names if _is_token_column(name)]
        if len(named) == 1:
            return named[0], []
        sample = list(islice(rows, _SAMPLE))
        others = [name for name in names if name not in (self.customer_column, self.verify_column)]
        with_uuids = [name for name in others if any(key_of(_cell(row[name]) or "") for _, row in sample)]
        possible = [name for name in named if name in with_uuids] or named or with_uuids
        if len(possible) == 1:
            return possible[0], sample
        found = (
            "Several columns may have the tokens" if possible else "No column of tokens was recognised. The columns are"
        )
        raise UsageError(f"{found}: {_listed(possible or names)}. Choose one with --column.")


def _separator(first: str) -> str | None:
    """Return the most frequent separator of a line, outside quotes; None if it has none."""
    unquoted = re.sub('"[^"]*"', "", first.strip())
    separator = max(_SEPARATORS, key=unquoted.count)
    return separator if separator in unquoted else None


def _check_columns(options: tuple[str | None, ...], names: list[str]) -> None:
    for column in options:
        if column is not None and column not in names:
            raise UsageError(f"The file has no column {redact(column)}. Its columns are: {_listed(names)}.")


def _listed(names: list[str]) -> str:
    return ", ".join(redact(name) for name in names) or "none"


def _is_token_column(name: str) -> bool:
    return name.strip().strip('"').lower().replace(" ", "_") in _TOKEN_COLUMNS


def _cell(text: str | None) -> str | None:
    return (text or "").strip() or None


def key_of(token: str) -> bytes | None:
    """Return the bytes of a token's UUID, the same for every spelling; None if it is not a UUID."""
    with suppress(InvalidTokenError):
        return checked_uuid("token", token).bytes
    return None
