"""Coverage-guided search for a response that is read wrongly: `nox -s fuzz -- [-runs=1000000]`.

The first byte of an input chooses the target: the body of a response, its Retry-After and Date, or a card's expiry. A
finding is an input that is neither read right, by a second parser that shares nothing with the package, nor rejected
with an error of ours. The arguments and the exit status are libFuzzer's. Everything is written to a temporary folder,
which is removed if nothing was found.
"""

import calendar
import math
import mmap
import os
import re
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wonder_payment", "wonder_payment_client"]):
    from faults.judging import judge
    from faults.responses import RAW, TOKEN, Twice, good, outcome_of, written
    from wonder_payment import APIError, Card

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


# The body


def try_body(body: bytes) -> None:
    """Read a body as a check does."""
    judge(outcome_of(body), body)


# The headers

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_DAYS, _MONTHS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun", "JanFebMarAprMayJunJulAugSepOctNovDec"
_DATE = re.compile(
    rf"(?:{_DAYS}), ([0-9]{{2}}) ([A-Z][a-z]{{2}}) ([0-9]{{4}}) ([0-9]{{2}}):([0-9]{{2}}):([0-9]{{2}}) GMT"
)


def _plain_date(text: str) -> float | None:
    """Return the Unix time of a date in HTTP's preferred form; None for any other."""
    found = _DATE.fullmatch(text)
    month = _MONTHS.find(found[2]) if found else -1
    if not found or month % 3 or not (year := int(found[3])) >= 1000:
        return None
    day, *clock = (int(found[part]) for part in (1, 4, 5, 6))
    try:
        datetime(year, month // 3 + 1, day, *clock, tzinfo=UTC)
    except ValueError:
        return None
    return calendar.timegm((year, month // 3 + 1, day, *clock))


def try_headers(data: bytes) -> None:
    """Read Retry-After and Date of an error."""
    fields = [*data.split(b"\n", 1), b""][:2]
    status = 401 if len(data) % 2 else 429
    after, since = (field.decode("latin-1") for field in fields)
    error = outcome_of(b"", status, Retry_After=after, Date=since)
    assert isinstance(error, APIError)
    seconds = error.retry_after
    assert seconds is None or (isinstance(seconds, float) and 0 <= seconds < math.inf), seconds
    if _SECONDS.fullmatch(after) and math.isfinite(float(after)):
        assert seconds == min(float(after), 1e9)
    elif (until := _plain_date(after)) is not None and (began := _plain_date(since)) is not None:
        assert seconds == min(max(0.0, until - began), 1e9), (seconds, until, began)


# When a card expires


def try_expiry(data: bytes) -> None:
    """Read a card's expiry."""
    month, year = [*data.decode("utf-8", "surrogateescape").split("\n", 1), ""][:2]
    card = Card(exp_month=month, exp_year=year)
    last = _last_day(month.strip(), year.strip())
    assert card.expires_on == last, (card.expires_on, last)
    assert card.is_expired(NOW.date()) is (last is not None and last < NOW.date())
    assert card.is_expired(NOW) is card.is_expired(NOW.date())
    assert repr(card)


def _last_day(month: str, year: str) -> date | None:
    if not (re.fullmatch(r"\d\d?", month) and re.fullmatch(r"\d\d(\d\d)?", year)):
        return None
    month_number, year_number = int(month), int(year) + (2000 if len(year) == 2 else 0)
    if not (1 <= month_number <= 12 and 1 <= year_number <= 9999):
        return None
    return date(year_number, month_number, calendar.monthrange(year_number, month_number)[1])


# The search

TARGETS: list[Callable[[bytes], None]] = [try_body, try_headers, try_expiry]

HTTP_DATE = "Wed, 01 Jul 2026 12:00:00 GMT"
ENVELOPES = [
    good(),
    good(state="pending", credit_card=None),
    good(state="failed", error_code="E1", error_msg="declined"),
    good(state=Twice("pending", "success"), verify_url="https://acs.example"),
    good() | {"code": 200, "trace": [1, 2.5, True, None, "\U0001f600", {}]},
    {"code": "E000002", "message": "no"},
    {"error_code": 401, "error_message": "no"},
    {"code": 503},
    *(good(unknown=value) for value in RAW if len(value.text) < 200),
    *(good() | {"code": value} for value in RAW if len(value.text) < 20),
]
SEEDS: list[bytes] = [
    *(b"\x00" + written(envelope).encode("utf-8", "surrogatepass") for envelope in ENVELOPES),
    *(b"\x00" + written(good()).encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32-be")),
    *(b"\x01" + text.encode() for text in (f"120\n{HTTP_DATE}", "1.5\n", f"{HTTP_DATE}\n{HTTP_DATE}", "-1\nnow", "\n")),
    *(b"\x01" + text.encode() for text in ("1 Jul 26 12:00 +0230", "Wednesday, 01-Jul-26 12:00:00 GMT", "9" * 400)),
    *(
        b"\x02" + text.encode()
        for text in ("12\n30", "1\n2031", " 02 \n 2028 ", "13\n00", "00\n9999", "\u0661\u0662\n\u0663\u0660", "\n")
    ),
]
WORDS = [
    *('"code"', '"message"', '"data"', '"payment_token"', '"token"', '"token_type"', '"state"', '"default"'),
    *('"error_code"', '"error_msg"', '"error_message"', '"credit_card"', '"number"', '"exp_month"', '"holder_name"'),
    *("true", "false", "null", "NaN", "Infinity", "-Infinity", "1e999", "0.0", "-0", "1e-999", "[[[[", "]]]]", "{}"),
    *('"success"', '"failed"', '"pending"', '"CreditCard"', r"\ud800", r"\udc00", r"\u0000", TOKEN, TOKEN.upper(), ","),
    *(HTTP_DATE, "GMT", "+0000", "-9999", "Jan", "Dec", "Mon, ", ":", " 12:00:00", "2026", "99", "12", "31", "\n"),
]


def search(arguments: list[str], folder: Path, counts: mmap.mmap) -> None:
    """Let libFuzzer search; it ends the process."""
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS):
        (corpus / str(number)).write_bytes(seed)
    escaped = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in WORDS)
    words.write_text("".join(f'"{word}"\n' for word in escaped))

    def once(data: bytes) -> None:
        target = data[0] % len(TARGETS) if data else 0
        struct.pack_into("Q", counts, 8 * target, struct.unpack_from("Q", counts, 8 * target)[0] + 1)
        TARGETS[target](data[1:])

    options = ["-runs=1000000", "-max_len=4096", "-timeout=10", f"-artifact_prefix={folder}/", f"-dict={words}"]
    atheris.Setup([sys.argv[0], *options, *arguments, str(corpus)], once)
    atheris.Fuzz()


def main() -> int:
    """Search in a child process, and print how often each target was tried."""
    folder = Path(tempfile.mkdtemp(prefix="wonder-payment-fuzz-"))
    counts = mmap.mmap(-1, 8 * len(TARGETS))
    began = time.monotonic()
    if (child := os.fork()) == 0:
        search(sys.argv[1:], folder, counts)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    tried = struct.unpack(f"{len(TARGETS)}Q", counts)
    shares = ", ".join(f"{count:,} {target.__name__}" for count, target in zip(tried, TARGETS, strict=True))
    sys.stdout.write(f"{sum(tried):,} executions in {time.monotonic() - began:.0f} s: {shares}; exit status {status}\n")
    if status == 0:
        shutil.rmtree(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
