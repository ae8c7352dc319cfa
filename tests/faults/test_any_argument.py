"""Anything that hypothesis finds as an argument: it is good, or a clear error names the argument."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import attrs
import httpx
import pytest
from conftest import TOKEN, pem
from faults.arguments import CHECKS, PASSPHRASE, Written, error_of, rejection
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wonder_payment import PollPolicy, RetryPolicy
from wonder_payment.config import checked_origin, described, origin_of
from wonder_payment.signing import load_private_key

# The same examples on every machine, and no database of examples.
stable = settings(derandomize=True, database=None, deadline=None, max_examples=100)

_anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    st.text(st.characters(), max_size=60),
    st.text(st.characters(), max_size=60).map(Written),
    st.binary(max_size=60),
    st.uuids(),
    st.lists(st.none() | st.text(), max_size=3),
    st.dictionaries(st.text(), st.text(), max_size=3),
    st.sampled_from(["en", "zh-HK", "sandbox", "production", TOKEN, TOKEN.upper(), "uuid", PASSPHRASE, 1e9, 1e-9]),
)


def _is_text(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, str.__str__(value)) is not None


def _is_uuid(value: Any) -> bool:
    return isinstance(value, UUID) or _is_text(value, r"(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def _is_number(value: Any, minimum: float, maximum: float = 1e9) -> bool:
    return type(value) in (int, float) and minimum <= value <= maximum


# What is good, stated a second time; False for everything that is not listed.
IS_GOOD: dict[str, Callable[[Any], bool]] = {
    "token": _is_uuid,
    "customer_uuid": lambda value: value is None or _is_uuid(value) or _is_text(value, "uuid"),
    "verify_uuid": _is_uuid,
    "app_id": lambda value: _is_text(value, "[!-~]+") and "/" not in value,
    "environment": lambda value: _is_text(value, "sandbox|production"),
    "language": lambda value: value is None or _is_text(value, "en|zh-HK|zh-CN"),
    "timeout": lambda value: _is_number(value, 0) and value > 0,
    "passphrase": lambda value: value in (PASSPHRASE, PASSPHRASE.encode()),
    "on_retry": lambda value: value is None,
    "transport": lambda value: value is None,
    "tokens": lambda value: isinstance(value, list),
    "concurrency": lambda value: type(value) is int and 1 <= value <= 10_000,
}


@pytest.mark.parametrize("argument", CHECKS)
@stable
@given(value=_anything)
def test_anything_is_good_or_an_error(argument: str, value: Any) -> None:
    if IS_GOOD.get(argument, lambda _value: False)(value):
        CHECKS[argument](value)
        return
    name = "private key" if argument == "passphrase" and not value and value is not False else argument
    message = rejection("" if argument == "passphrase" else name, CHECKS[argument], value)
    if isinstance(value, str) and len(value) > 7 and described(value) != str.__repr__(value):
        assert str.__str__(value) not in message


QUOTA = ("quota", "quota_per_retry", "quota_per_timeout", "quota_per_success")
FIELDS = [(policy, field.name) for policy in (RetryPolicy, PollPolicy) for field in attrs.fields(policy)]


@pytest.mark.parametrize(("policy", "field"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
@stable
@given(value=_anything)
def test_anything_as_a_field_of_a_policy_is_good_or_an_error(policy: Any, field: str, value: Any) -> None:
    bounds = {
        "max_attempts": (1, 1e9),
        "quota": (10, 1e9),
        "quota_per_retry": (1, 500),
        "quota_per_timeout": (1, 500),
        "quota_per_success": (1, 1e9),
        "jitter": (0, 1.0 if policy is RetryPolicy else 0.99),
        "interval_max": (0.6, 1e9),
    }
    conditions: dict[str, Callable[[Any], bool]] = {
        **dict.fromkeys(("max_attempts", *QUOTA), lambda value: type(value) is int),
        "max_elapsed": lambda value: value > 0,
        "interval_initial": lambda value: 0 < value <= PollPolicy().interval_max,
    }
    if _is_number(value, *bounds.get(field, (0, 1e9))) and conditions.get(field, lambda _value: True)(value):
        assert getattr(policy(**{field: value}), field) == value
        return
    if (field, value) == ("quota", None):
        assert policy(quota=None).quota is None
        return
    # Of two fields that contradict each other, either may be named.
    name = "interval_max" if field == "interval_initial" and _is_number(value, 3) else field
    name = "quota" if field in {"quota_per_retry", "quota_per_timeout"} and _is_number(value, 501) else name
    rejection(name, lambda value: policy(**{field: value}), value)


@stable
@given(
    base_url=st.from_regex(r"(?i:https?)://([a-z0-9äß應.:@\[\]%_?#/\\ -]|[\x00-\xff]){1,30}", fullmatch=True)
    | st.text(st.characters(), max_size=30).map("https://".__add__)
)
@example(base_url="https://a")
@example(base_url="HTTPS://a:443/")
def test_a_base_url_is_an_error_or_exactly_its_host_and_port(base_url: str) -> None:
    if error_of(checked_origin, base_url):
        rejection("base_url", checked_origin, base_url)
        return
    origin, given = httpx.URL(checked_origin(base_url)), urlsplit(base_url)
    host = given.hostname or ""
    assert origin.host == (host.lower() if host.isascii() else origin.host)
    assert origin.raw_host.isascii()
    assert (origin.port or 443) == (given.port or 443) or origin.scheme == "http"
    assert (origin.username, origin.password, origin.path, origin.query, origin.fragment) == ("", "", "/", b"", "")
    assert (given.username, given.password) == (None, None)
    assert given.path.strip("/") + given.query + given.fragment == ""
    assert origin.scheme == "https" or host in ("localhost", "::1") or host.startswith("127.")
    # The origin of a request to it is the same, or nothing would be signed.
    assert origin_of(origin.join("/svc")) == checked_origin(base_url)


@stable
@given(data=st.data())
def test_a_damaged_pem_is_an_error_or_still_the_key(data: st.DataObject) -> None:
    text = pem()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    damaged = text[:start] + data.draw(st.text(st.characters(), max_size=5)) + text[end:]
    if error_of(load_private_key, damaged):
        assert text.splitlines()[3] not in rejection("private key", load_private_key, damaged)
