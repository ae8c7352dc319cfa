"""What the headers of an answer say, read leniently: what can't be read counts as absent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["clock_difference", "http_date", "retry_after"]

# Seconds; the system's own sleep has an end, too.
_LONGEST = 1e9


def http_date(value: str | None) -> datetime | None:
    """Return an HTTP date in UTC; None where there is none or it can't be read."""
    try:
        date = parsedate_to_datetime(value or "")
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def retry_after(value: str | None, *, date: str | None, now: float) -> float | None:
    """Return the seconds a ``Retry-After`` asks for, from 0 to a billion; None where there is none that can be read.

    Args:
        value: The ``Retry-After`` header: seconds, or an HTTP date.
        date: The ``Date`` header of the same answer, to count from: the two clocks may differ.
        now: Our time (Unix time, UTC), to count from where the answer has no date.
    """
    seconds = (value or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", seconds):
        return min(float(seconds), _LONGEST)
    until = http_date(value)
    if until is None:
        return None
    return min(_LONGEST, max(0.0, (until - (http_date(date) or datetime.fromtimestamp(now, UTC))).total_seconds()))


def clock_difference(date: str | None, *, now: float) -> float:
    """Return by how many seconds the clock behind a ``Date`` header is ahead of ``now`` (Unix time, UTC).

    0.0 where there is no date that can be read.
    """
    theirs = http_date(date)
    return 0.0 if theirs is None else theirs.timestamp() - now
