"""The simulator's page over HTTP; test_page_in_browser.py has it in a real browser."""

import html
import json
import math
import re
import time
import uuid
from hashlib import sha256
from typing import Any

import httpx
import pytest
from conftest import CHECK, TOKEN
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from wonder_payment import NetworkError, RetryPolicy
from wonder_payment.signing import sign, string_to_sign
from wonder_payment.simulator import TEST_TOKENS, Fault, SimulatedGateway, SimulatedRequest

SCRIPT = "<script>alert(1)</script>"


def get(gateway: SimulatedGateway, path: str = "/", **headers: str) -> httpx.Response:
    return httpx.get(gateway.base_url + path, headers=headers, trust_env=False)


def row(page: httpx.Response, token: str) -> str:
    """Return the text of a token's row in the table of tokens."""
    after = page.text.split(f'id="token-{token}"')[1]
    return text(after.partition('<div class="buttons"')[0])


def text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup.replace("<br>", " ").partition(">")[2])).split())


def send(
    gateway: SimulatedGateway,
    signature: str | None = None,
    *,
    body: bytes | None = None,
    uri: str = CHECK,
    seconds: float = 0,
    **headers: str,
) -> SimulatedRequest:
    """Send a request signed by hand; return what the simulator recorded."""
    body = json.dumps({"payment_token": {"token": TOKEN}}).encode() if body is None else body
    now = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + seconds))
    headers.setdefault("Credential", f"{gateway.app_id}/{now}/Wonder-RSA-SHA256")
    headers.setdefault("Nonce", uuid.uuid4().hex[:16])
    if signature:
        headers["Signature"] = signature
    httpx.post(gateway.base_url + uri, headers=headers, content=body, trust_env=False)
    return gateway.requests[-1]


def test_the_page_shows_every_token_with_its_state_and_behaviour_newest_first(gateway: SimulatedGateway) -> None:
    first, second = gateway.add_token(), gateway.add_token(states=["failed"], error_code="E1")
    page = get(gateway)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    places = [
        page.text.index(f'id="token-{token}"') for token in (second, first, *(test.token for test in TEST_TOKENS))
    ]
    assert places == sorted(places)
    assert row(page, first) == f"{first} … pending always pending"
    assert row(page, second) == f"{second} ✗ failed always failed error code E1"
    for test in TEST_TOKENS:
        assert row(page, test.token).endswith(" " + test.behaviour.replace("`", ""))


def test_the_page_counts_the_tokens_that_it_does_not_show(gateway: SimulatedGateway) -> None:
    oldest, *_, newest = [gateway.add_token() for _ in range(203)]
    page = get(gateway)
    assert "… and 3 older." in page.text
    assert f'id="token-{newest}"' in page.text
    assert f'id="token-{oldest}"' not in page.text


def test_the_page_shows_the_last_50_requests_newest_first(gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    with gateway.client() as wonder:
        for _ in range(52):
            wonder.check_token(token)
    page = get(gateway).text.split("<main>")[1]
    shown = re.findall(r'id="request-(\d+)"', page)
    assert shown == [str(request.number) for request in gateway.requests[:1:-1]]
    newest = text(page.split(f'id="request-{shown[0]}"')[1].partition("</tr>")[0])
    assert newest.split()[1:] == ["200", "✓", "good", token, gateway.requests[-1].request_id]
    assert "40 older" in page


@pytest.mark.parametrize(
    ("settings", "scenario"),
    [
        ({"states": ["pending", "success"]}, "pending, then success"),
        ({"states": ["failed"], "after": 2.5}, "pending for 2.5 s, then failed"),
        ({"states": ["success"], "token_type": "AlipayAutoDebit"}, "always success AlipayAutoDebit"),
    ],
    ids=str,
)
def test_the_page_shows_the_scenario_of_an_added_token(
    gateway: SimulatedGateway, settings: dict[str, Any], scenario: str
) -> None:
    token = gateway.add_token(**settings)
    assert row(get(gateway), token).endswith(scenario)


@pytest.mark.parametrize(
    ("status", "pill"), [(200, "good"), (302, "open"), (404, "open"), (429, "open"), (502, "bad"), (599, "bad")]
)
def test_the_status_of_a_request_is_coloured_by_its_class(gateway: SimulatedGateway, status: int, pill: str) -> None:
    gateway.inject(Fault(status=status))
    number = send(gateway).number
    shown = get(gateway).text.split(f'id="request-{number}"')[1].partition("</tr>")[0]
    assert f'<span class="pill {pill}">{status}</span>' in shown
    assert "pill good" not in shown.replace(f'<span class="pill good">{status}</span>', "")


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (Fault(broken="reset before"), "connection reset"),
        (Fault(broken="reset in the middle"), "reset in the body"),
        (Fault(broken="truncated", status=502), "truncated"),
        (Fault(delay=math.inf), "no response"),
        (Fault(delay=math.inf, broken="truncated"), "no response"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_page_shows_what_happened_instead_of_a_response(
    gateway: SimulatedGateway, fault: Fault, shown: str
) -> None:
    token = gateway.add_token()
    gateway.inject(fault)
    with gateway.client(retry=RetryPolicy.never(), timeout=0.3) as wonder, pytest.raises(NetworkError):
        wonder.check_token(token)
    (request,) = gateway.requests
    row = get(gateway).text.split(f'id="request-{request.number}"')[1].partition("</tr>")[0]
    assert f'<span class="pill bad">{shown}</span>' in row
    assert (request.status, request.broken) == (None, "no response" if fault.delay else fault.broken)


def test_only_a_token_that_is_not_settled_can_be_approved_or_declined(gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    for settle in (None, gateway.approve, gateway.decline):
        if settle:
            settle(token)
        buttons = re.findall(rf'data-path="/tokens/{token}/(?:approve|decline)"[^>]*>', get(gateway).text)
        assert [" disabled" in button for button in buttons] == [settle is not None] * 2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("POST", f"/tokens/{TOKEN}/approve", 404),
    ],
)
def test_an_unknown_path_or_method_gets_a_short_text(
    gateway: SimulatedGateway, method: str, path: str, status: int
) -> None:
    response = httpx.request(method, gateway.base_url + path, trust_env=False)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert 0 < len(response.text) < 50


def test_the_page_rejects_the_name_and_the_frame_of_another_site(gateway: SimulatedGateway) -> None:
    foreign = get(gateway, Host="rebound.example")
    assert (foreign.status_code, gateway.app_id in foreign.text) == (400, False)
    policy = get(gateway).headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_request_data_is_shown_as_text_and_never_as_markup(gateway: SimulatedGateway) -> None:
    body = json.dumps({"payment_token": {"token": SCRIPT}}).encode()
    send(gateway, Credential=SCRIPT)
    send(gateway, Nonce=SCRIPT, body=body, **{"X-Request-ID": SCRIPT})
    send(gateway, SCRIPT, uri=CHECK.replace("uuid/", SCRIPT.replace("/", "") + "/"))
    gateway.decline(gateway.add_token(token_type=SCRIPT), error_code=SCRIPT)
    gateway.add_token(states=[SCRIPT, SCRIPT])
    page = get(gateway).text
    assert page.count("<script") == 1
    assert page.count("&lt;script&gt;alert(1)") >= 8


def test_invisible_characters_are_shown_as_escapes(gateway: SimulatedGateway) -> None:
    send(gateway, body=b'{"a":\r\n "\xe2\x80\x8b\xff"}')
    assert r"{&#34;a&#34;:\r\n &#34;\u200b\xff&#34;}" in get(gateway).text


def test_a_rejected_signature_shows_all_its_parts_and_no_secret(gateway: SimulatedGateway) -> None:
    body = json.dumps({"payment_token": {"token": TOKEN}}).encode()
    signature = sign(gateway.private_key, "nonsense")
    request = send(gateway, signature, body=body, uri=CHECK + "?a=1")
    verdict = request.verdict
    assert verdict.hmacs
    assert verdict.hint
    page = html.unescape(get(gateway).text)
    assert "SIM_SIGNATURE: Signature does not match" in page
    for part in (
        verdict.credential,
        verdict.nonce,
        f"{CHECK}?a=1",
        body.decode(),
        f"{len(body)} bytes",
        sha256(body).hexdigest(),
        *verdict.hmacs,
        verdict.hint,
        string_to_sign(verdict.credential, verdict.nonce, "POST", CHECK + "?a=1", body),
        time.strftime("%Y%m%d%H%M%S", time.gmtime(request.time)),
    ):
        assert part in page
    pem = gateway.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for secret in (signature, *pem.strip().split("\n")[1:-1], format(gateway.private_key.private_numbers().d, "x")):
        assert secret not in page


def test_the_page_says_that_a_long_body_is_cut(gateway: SimulatedGateway) -> None:
    send(gateway, body=b"x" * 5000)
    page = get(gateway).text
    assert "5000 bytes" in page
    assert "(the first 4096 bytes)" in page


@pytest.mark.parametrize("seconds", [8 * 3600, -2400, -20, 20])
def test_the_page_shows_how_far_a_requests_time_is_off(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    send(gateway, seconds=seconds)
    side = "ahead of" if seconds > 0 else "behind"
    assert re.search(
        rf"the request's time is {abs(seconds)} s [(:0-9) ]*{side} the simulator's clock", get(gateway).text
    )


def test_the_page_and_the_response_agree_about_the_difference_of_the_clocks(gateway: SimulatedGateway) -> None:
    rejection = send(gateway, seconds=-2400).verdict.rejection
    assert rejection
    assert re.fullmatch(
        r"The time in Credential is 24\d\d s \(0:40:\d\d\) behind the simulator's clock.", rejection.message
    )
    difference = rejection.message.removeprefix("The time in Credential is ").removesuffix(".")
    assert html.unescape(get(gateway).text).count(difference) == 2


def test_the_page_shows_the_offset_of_the_simulators_clock(gateway: SimulatedGateway) -> None:
    gateway.clock_offset = 3600
    assert "The simulator's clock is 3600 s (1:00:00) ahead of this machine's." in html.unescape(get(gateway).text)


@pytest.mark.parametrize(
    "headers",
    [
        {"Credential": ""},
        {"Credential": "a/b"},
        {"Credential": "a/20260101000000/Wonder-RSA-SHA256"},
        {"Nonce": "short"},
    ],
    ids=str,
)
def test_a_rejection_says_what_to_change(gateway: SimulatedGateway, headers: dict[str, str]) -> None:
    verdict = send(gateway, **headers).verdict
    page = html.unescape(get(gateway).text)
    assert verdict.rejection
    assert f"{verdict.rejection.code}: {verdict.rejection.message}" in page
    assert f'<p class="hint">{verdict.hint}</p>' in page
