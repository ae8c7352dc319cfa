"""What the doctor concludes from a response, and how it shows one: tables, without a server."""

from unittest.mock import patch

import httpx
import pytest
from commands import CARD_NUMBER
from conftest import TOKEN
from faults.servers import environment
from wonder_payment._http.environment import environment_proxy
from wonder_payment.cli.examination import route_to
from wonder_payment.cli.probes import (
    Reply,
    Trial,
    Verdict,
    best,
    despite_echo,
    random_token_verdict,
    recommended,
    reply_to,
    signature_verdict,
)

OK, WRONG, UNKNOWN = Verdict
PROXY = "http://user:secret@proxy.example:3128"


@pytest.mark.parametrize(
    ("status", "code", "signature", "random_token"),
    [
        *((200, code, OK, UNKNOWN) for code in (0, 200, "0", "200")),
        (200, "", UNKNOWN, UNKNOWN),
        (201, 0, OK, UNKNOWN),
        (200, None, UNKNOWN, UNKNOWN),
        (200, 404, UNKNOWN, OK),
        (200, "404", UNKNOWN, OK),
        *((200, code, WRONG, WRONG) for code in (401, "401", 403, "403", "E000002")),
        *((status, code, WRONG, WRONG) for status in (401, 403) for code in (None, 0, "E1")),
        (400, "E000002", WRONG, WRONG),
        (400, "E000003", UNKNOWN, UNKNOWN),
        (404, "E000404", UNKNOWN, OK),
        (404, 0, UNKNOWN, OK),
        (404, None, UNKNOWN, UNKNOWN),
        (302, None, UNKNOWN, UNKNOWN),
        (500, 0, UNKNOWN, UNKNOWN),
        (None, None, UNKNOWN, UNKNOWN),
    ],
)
def test_a_verdict_follows_from_the_status_and_the_code(
    status: int | None, code: str | float | None, signature: Verdict, random_token: Verdict
) -> None:
    reply = Reply(status=status, code_name=None if code is None else "code", code=code)
    assert (signature_verdict(reply), random_token_verdict(reply)) == (signature, random_token)


def test_an_empty_code_is_good_in_the_envelope_of_older_pages_only() -> None:
    for name, verdict in (("error_code", OK), ("code", UNKNOWN)):
        assert signature_verdict(Reply(status=200, code_name=name, code="")) is verdict


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [([], UNKNOWN), ([UNKNOWN, WRONG], WRONG), ([WRONG, OK], OK), ([UNKNOWN, OK], OK), ([UNKNOWN], UNKNOWN)],
)
def test_one_good_alternative_suffices(verdicts: list[Verdict], expected: Verdict) -> None:
    assert best(verdicts) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"code": 0, "message": "succeed."}', "HTTP 200, code 0: succeed"),
        (b'{"code": "0"}', 'HTTP 200, code "0"'),
        (b'{"error_code": "", "error_message": ""}', 'HTTP 200, error_code ""'),
        (b'{"code": 0, "message": "ok", "error_code": "E1", "error_message": "no"}', 'HTTP 200, error_code "E1": no'),
        (b'{"code": 7, "error_code": "E1", "message": "no"}', "HTTP 200, code 7: no"),
        (b'{"code": [], "message": {}}', "HTTP 200: no code; the fields are code, message"),
        (
            b'{"message": "Hello", "%s": 1}' % TOKEN.encode(),
            f"HTTP 200: no code; the fields are message, …{TOKEN[-4:]}",
        ),
        (b"{}", "HTTP 200: no code; the fields are none"),
        (b'{"code": NaN}', 'HTTP 200, code "nan"'),
        (b'{"code": 1e999}', 'HTTP 200, code "inf"'),
        (b'{"code": %s}' % CARD_NUMBER.encode(), 'HTTP 200, code "…1111"'),
        (b'{"code": "E1", "message": "no %s"}' % TOKEN.encode(), f'HTTP 200, code "E1": no …{TOKEN[-4:]}'),
        (b"<html>", "HTTP 200: not a JSON object (text/html)"),
        (b"[]", "HTTP 200: not a JSON object (text/html)"),
        (b"", "HTTP 200: empty body"),
    ],
    ids=[
        "code",
        "text",
        "old",
        "error beside good",
        "two errors",
        "other types",
        "no code",
        "empty object",
        "NaN",
        "infinite",
        "card",
        "token",
        "HTML",
        "list",
        "empty",
    ],
)
def test_a_reply_shows_the_status_the_code_and_the_message_without_secrets(body: bytes, expected: str) -> None:
    assert str(reply_to(httpx.Response(200, headers={"Content-Type": "text/html"}), body)) == expected


@pytest.mark.parametrize(
    ("working", "expected"),
    [("", None), ("-- -v c- cv", "c-"), ("-- -v cv", "cv"), ("-- -v", "--"), ("-v", "-v")],
)
def test_the_customers_uuid_is_recommended_if_it_works_and_then_the_fewest_arguments(
    working: str, expected: str | None
) -> None:
    trials = {
        name: Trial(
            "…0001" if "c" in name else None, "…0002" if "v" in name else None, name in working.split(), Reply()
        )
        for name in ("--", "-v", "c-", "cv")
    }
    assert recommended(trials.values()) is (trials[expected] if expected else None)


def test_a_proxy_of_the_systems_settings_is_named_so() -> None:
    with environment(), patch("wonder_payment._http.environment.getproxies", return_value={"https": PROXY}):
        route = route_to("https://gateway.example", environment_proxy("https://gateway.example"))
    assert route == "through the proxy of this system, proxy.example:3128"


@pytest.mark.parametrize(
    ("check", "echo", "expected"),
    [(WRONG, OK, UNKNOWN), (WRONG, UNKNOWN, WRONG), (WRONG, WRONG, WRONG), (OK, OK, OK), (UNKNOWN, WRONG, UNKNOWN)],
)
def test_a_check_proves_nothing_against_a_signature_that_the_echo_request_proved(
    check: Verdict, echo: Verdict, expected: Verdict
) -> None:
    assert despite_echo(check, echo) is expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "directly"),
        ({"HTTPS_PROXY": PROXY}, "through the proxy of HTTPS_PROXY, proxy.example:3128"),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "other"}, "through the proxy of https_proxy, proxy.example:3128"),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, "directly"),
        (
            {"https_proxy": "", "HTTPS_PROXY": "other", "all_proxy": PROXY},
            "through the proxy of all_proxy, proxy.example:3128",
        ),
        (
            {"HTTPS_PROXY": PROXY, "ALL_PROXY": PROXY, "NO_PROXY": ""},
            "through the proxy of HTTPS_PROXY, proxy.example:3128",
        ),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "*"}, "directly"),
        ({"ALL_PROXY": "proxy.example"}, "through the proxy of ALL_PROXY, proxy.example"),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, "directly, because NO_PROXY excludes it from HTTPS_PROXY"),
    ],
    ids=str,
)
def test_the_route_names_the_proxy_and_its_variable(variables: dict[str, str], expected: str) -> None:
    origin = "https://gateway.example"
    with environment(**variables):
        assert route_to(origin, environment_proxy(origin)) == expected
