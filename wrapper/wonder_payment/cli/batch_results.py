"""The results of ``wonder-payment batch``: JSON lines, in a file that can be continued."""

import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self, TypeAlias

import attrs

from wonder_payment import CheckResult, InvalidTokenError
from wonder_payment._redact import redact
from wonder_payment.config import checked_uuid

from .batch_tokens import Item, UsageError, key_of

# What a line is about: the token's UUID, or the line number and the redacted text of a token that is not a UUID.
_Subject: TypeAlias = bytes | tuple[int, str]


@attrs.frozen
class _Replaceable:
    """A line that a new one may replace.

    Attributes:
        offset: Where it begins in the file.
        outcome: What it counts as.
    """

    offset: int
    outcome: str


class Results:
    """Writes the results, and keeps the keys of the tokens that have one: 16 bytes in memory for each.

    New lines are appended. At the end, the lines that they replace are removed from the file.

    Args:
        path: The file to continue; None: stdout.
        rechecks_pending: Whether pending tokens are checked again.

    Attributes:
        known: The keys of the tokens that are not to be checked.

    Raises:
        UsageError: The file exists and is not the output of a batch; it is not changed. Or stdout is closed.
        OSError: The file cannot be read or written.
    """

    def __init__(self, path: Path | None, *, rechecks_pending: bool = False) -> None:
        self._path = path
        self._rechecks_pending = rechecks_pending
        self.known: set[bytes] = set()
        self._replaceable: dict[_Subject, _Replaceable] = {}
        self._replaced: set[int] = set()  # offsets
        self._counts: Counter[str] = Counter()
        self._invalid = self._failed_checks = 0  # in this run
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
                self._remember(line, end)
                end += len(line)
        self._file = self._path.open("a", encoding="ascii", newline="\n")
        return self

    def __exit__(self, *error: object) -> None:
        if self._file and self._path:
            self._file.close()
            if self._replaced and error[0] is None:
                _remove_lines(self._path.resolve(), self._replaced)

    @property
    def has_errors(self) -> bool:
        """Whether this run has an error, new or known."""
        return self._invalid + self._failed_checks > 0

    def write(self, result: CheckResult) -> None:
        """Write the result of a token."""
        self._failed_checks += result.error is not None
        line = {"token_id": result.token_id, **result.token.to_dict(secrets=True)} if result.token else _failure(result)
        self._write(checked_uuid("token", result.token_id).bytes, line)

    def write_invalid(self, item: Item) -> None:
        """Write that a token is not a UUID, unless the file has a line that says so."""
        self._invalid += 1
        text = redact(str(item.reference.token))  # it may be a card number
        if self._replaceable.pop((item.line, text), None) is None:
            problem = f"Line {item.line} does not contain a UUID. Correct it in the source."
            error = InvalidTokenError(problem, attempts=0)
            self._write((item.line, text), _failure(CheckResult(token_id=text, error=error), line=item.line))

    def forget_invalid(self) -> None:
        """Remove the lines about invalid tokens that the source no longer has."""
        for subject in [subject for subject in self._replaceable if isinstance(subject, tuple)]:
            self._replace(subject)

    def summary(self, *, is_stopped: bool) -> str:
        """Return how many tokens have which result, and what is left to do."""
        counts = ", ".join(f"{name} {self._counts[name]:,}" for name in ("verified", "pending", "failed", "errors"))
        if is_stopped:
            advice = (
                "Run the same command again to continue."
                if self._path
                else "Use --output FILE to be able to continue a run."
            )
            return f"stopped; results so far: {counts}. {advice}"
        parts = [f"results: {counts}."]
        if self._invalid:
            advice = "Correct them in the source. The output has their line numbers."
            parts.append(f"Lines without a UUID: {self._invalid:,}. {advice}")
        if self._failed_checks:
            parts.append(
                "Run the same command again to retry the errors."
                if self._path
                else "Use --output FILE to be able to retry only the errors."
            )
        return " ".join(parts)

    def _write(self, subject: _Subject, line: dict[str, Any]) -> None:
        """Write a line at once, so that no result is lost when the process is killed."""
        file = self._file or sys.stdout
        file.write(json.dumps(line) + "\n")
        file.flush()
        self._replace(subject)
        self._counts[_outcome(line)] += 1

    def _remember(self, text: bytes, offset: int) -> None:
        with suppress(ValueError, TypeError, KeyError):  # a token whose line cannot be read is checked again
            line = json.loads(text)
            outcome = _outcome(line)
            key = key_of(line["token_id"])
            subject = key or (line["error"].get("line", 0), line["token_id"])
            if subject in self.known and subject not in self._replaceable:
                self._replaced.add(offset)  # a second line of a token that is verified or failed
                return
            self._replace(subject)
            self._counts[outcome] += 1
            if outcome in ("pending", "errors"):
                self._replaceable[subject] = _Replaceable(offset, outcome)
            if key and outcome != "errors" and not (outcome == "pending" and self._rechecks_pending):
                self.known.add(key)
            elif key:
                self.known.discard(key)

    def _replace(self, subject: _Subject) -> None:
        """Remove the earlier line about the same subject, if there is one."""
        if old := self._replaceable.pop(subject, None):
            self._replaced.add(old.offset)
            self._counts[old.outcome] -= 1


def _remove_lines(path: Path, offsets: set[int]) -> None:
    """Remove the lines that begin at these offsets. A reader sees the old file or the new one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as new:
        try:
            with path.open("rb") as old:
                offset = 0
                for line in old:
                    if offset not in offsets:
                        new.write(line)
                    offset += len(line)
            new.flush()
            os.fsync(new.fileno())
            shutil.copymode(path, new.name)
        except BaseException:
            Path(new.name).unlink()
            raise
    Path(new.name).replace(path)


def _outcome(line: dict[str, Any]) -> str:
    """Return what a line counts as."""
    if "error" in line:
        return "errors"
    return {"success": "verified", "failed": "failed"}.get(line["state"], "pending")


def _failure(result: CheckResult, **fields: object) -> dict[str, Any]:
    error = result.error
    known = {"type": type(error).__name__, "message": str(error and error.args[0])}
    return {"token_id": result.token_id, "error": known | {"request_id": error and error.request_id} | fields}
