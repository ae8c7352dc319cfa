"""The dates and the Retry-After header of a response."""

import pytest
from envelopes import DATE, NOW
from wonder_payment._http.response import http_date, retry_after

LATER = "Wed, 21 Oct 2026 07:28:30 GMT"

UNREADABLE = [
    *(None, "", " ", "soon", "-1", "\0", "日期", "2026-10-21T07:28:00Z", "Wed, 32 Oct 2026 07:28:00 GMT"),
    *("Wed, 21 Oct 2026 25:61:00 GMT", "Wed, 21 Oct 99999 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 +9999"),
]


@pytest.mark.parametrize(
    "value",
    [
        *(DATE, "Wednesday, 21-Oct-26 07:28:00 GMT", "Wed Oct 21 07:28:00 2026", "21 Oct 2026 07:28:00 GMT"),
        *(f"Wed, 21 Oct 2026 {clock}" for clock in ("07:28:00 UTC", "07:28:00 +0000", "07:28:00 -0000", "07:28:00")),
        *("Wed, 21 Oct 2026 15:28:00 +0800", "wed, 21 oct 2026 07:28:00 gmt", f"  {DATE} "),
    ],
)
def test_an_http_date_is_read_in_each_of_its_forms(value: str) -> None:
    assert http_date(value) == NOW


@pytest.mark.parametrize("value", [*UNREADABLE, "0"])
def test_a_text_that_is_no_date_is_none(value: str | None) -> None:
    assert http_date(value) is None


@pytest.mark.parametrize(
    ("value", "date", "now", "seconds"),
    [
        *((value, None, NOW, float(value)) for value in ("0", "2", "1.5", "0.25", " 3 ", "007")),
        ("120", DATE, 0.0, 120.0),
        ("9" * 400, None, NOW, 1e9),
        ("Wed, 21 Oct 9026 07:28:00 GMT", None, NOW, 1e9),
        (LATER, None, NOW, 30.0),
        (LATER, None, NOW + 0.5, 29.5),
        *((LATER, DATE, NOW + difference, 30.0) for difference in (0, 3600, -3600)),
        *((LATER, unreadable, NOW - 30, 60.0) for unreadable in ("nonsense", "")),
        (DATE, DATE, 0.0, 0.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", DATE, NOW - 3600, 0.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", None, NOW, 0.0),
        *((value, DATE, NOW, None) for value in UNREADABLE),
        *((value, DATE, NOW, None) for value in ("-5", "+5", "1,5", "1e3", "nan", "inf", "5 s", ".5", "5.", "\u0665")),
    ],
)
def test_retry_after_is_in_seconds_from_the_date_of_the_response(
    value: str | None, date: str | None, now: float, seconds: float | None
) -> None:
    assert retry_after(value, date=date, now=now) == seconds
