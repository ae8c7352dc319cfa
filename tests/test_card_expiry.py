"""When a card expires, and whether it is expired."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sample_tokens import card


@pytest.mark.parametrize(
    ("exp_month", "exp_year", "wanted"),
    [
        ("1", "2027", date(2027, 1, 31)),
        ("04", "27", date(2027, 4, 30)),
        ("02", "27", date(2027, 2, 28)),
        ("02", "2028", date(2028, 2, 29)),
        ("2", "28", date(2028, 2, 29)),
        ("02", "2100", date(2100, 2, 28)),
        ("02", "2000", date(2000, 2, 29)),
        ("12", "00", date(2000, 12, 31)),
        ("12", "99", date(2099, 12, 31)),
        ("12", "9999", date(9999, 12, 31)),
        (" 12 ", "\t2031\n", date(2031, 12, 31)),
        ("12", "1999", date(1999, 12, 31)),
        ("13", "2027", None),
        ("0", "2027", None),
        ("00", "2027", None),
        ("99", "99", None),
        ("12", "0000", None),
        ("12", "127", None),
        ("12", "7", None),
        ("12", "20270", None),
        ("012", "2027", None),
        ("-1", "2027", None),
        ("12", "-027", None),
        ("+1", "2027", None),
        ("1.", "2027", None),
        ("1 2", "2027", None),
        ("1e", "2027", None),
        ("1_", "2_27", None),
        ("Dec", "2027", None),
        ("**", "****", None),
        ("\u00b2", "2027", None),
        ("12/27", "12/27", None),
        ("12", "", None),
        ("", "2027", None),
        ("", "", None),
        ("12", None, None),
        (None, "2027", None),
        (None, None, None),
    ],
)
def test_a_card_expires_on_the_last_day_of_its_month(
    exp_month: str | None, exp_year: str | None, wanted: date | None
) -> None:
    assert card(exp_month=exp_month, exp_year=exp_year).expires_on == wanted


@pytest.mark.parametrize(
    ("on", "expired"),
    [
        (date(2028, 1, 31), False),
        (date(2028, 2, 28), False),
        (date(2028, 2, 29), False),
        (date(2028, 3, 1), True),
        (date(2029, 1, 1), True),
        (date.min, False),
        (date.max, True),
    ],
)
def test_a_card_is_expired_from_the_next_day(on: date, *, expired: bool) -> None:
    assert card(exp_month="02", exp_year="28").is_expired(on) is expired
    assert card(exp_month="02", exp_year="28").is_expired(on=on) is expired


@pytest.mark.parametrize(("days", "expired"), [(-40, True), (0, False), (40, False)])
def test_the_default_day_is_today(days: int, *, expired: bool) -> None:
    month = datetime.now(UTC).date() + timedelta(days=days)
    assert card(exp_month=f"{month:%m}", exp_year=f"{month:%Y}").is_expired() is expired


@pytest.mark.parametrize(("exp_month", "exp_year"), [(None, None), ("13", "2027"), ("**", "**")])
def test_a_card_whose_expiry_cannot_be_read_is_not_expired(exp_month: str | None, exp_year: str | None) -> None:
    assert card(exp_month=exp_month, exp_year=exp_year).is_expired(date.max) is False
