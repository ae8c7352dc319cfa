"""The gateway's page for people: over HTTP, and in a real browser."""

import html
import json
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import httpx
import pytest
from conftest import TOKEN
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from wonder_payment.signing import sign, string_to_sign
from wonder_payment.simulator import WELL_KNOWN, SimulatedGateway, SimulatedRequest

CHECK = "/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check"
SCRIPT = "<script>alert(1)</script>"


def get(gateway: SimulatedGateway, path: str = "/", **headers: str) -> httpx.Response:
    return httpx.get(gateway.base_url + path, headers=headers, trust_env=False)


def post(gateway: SimulatedGateway, path: str, **headers: str) -> httpx.Response:
    return httpx.post(gateway.base_url + path, headers=headers, trust_env=False)


def row(page: httpx.Response, token: str) -> str:
    """The tokens' table's row of one token, as text."""
    after = page.text.split(f'id="token-{token}"')[1]
    return text(after.partition("<form")[0])


def text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup.replace("<br>", " ").partition(">")[2])).split())


def send(
    gateway: SimulatedGateway,
    signature: Callable[[str, str], str] | None = None,
    *,
    body: bytes | None = None,
    uri: str = CHECK,
    seconds: float = 0,
    **headers: str,
) -> SimulatedRequest:
    """Send a request signed by hand, ``signature`` given the credential and the nonce, and return what was seen."""
    body = json.dumps({"payment_token": {"token": TOKEN}}).encode() if body is None else body
    now = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + seconds))
    credential = headers.setdefault("Credential", f"{gateway.app_id}/{now}/Wonder-RSA-SHA256")
    nonce = headers.setdefault("Nonce", uuid.uuid4().hex[:16])
    if signature:
        headers["Signature"] = signature(credential, nonce)
    httpx.post(gateway.base_url + uri, headers=headers, content=body, trust_env=False)
    return gateway.requests[-1]


def test_the_page_shows_every_token_with_its_state_and_behaviour_the_newest_first(gateway: SimulatedGateway) -> None:
    first, second = gateway.add_token(), gateway.add_token(states=["failed"], error_code="E1")
    page = get(gateway)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    places = [
        page.text.index(f'id="token-{token}"') for token in (second, first, *(known.token for known in WELL_KNOWN))
    ]
    assert places == sorted(places)
    assert row(page, first) == f"{first} … pending CreditCard"
    assert row(page, second) == f"{second} ✗ failed CreditCard error code E1"
    for known in WELL_KNOWN:
        assert row(page, known.token).endswith(" " + known.behaviour.replace("`", ""))


def test_more_tokens_than_fit_are_counted(gateway: SimulatedGateway) -> None:
    oldest, *_, newest = [gateway.add_token() for _ in range(203)]
    page = get(gateway)
    assert "… and 3 older." in page.text
    assert f'id="token-{newest}"' in page.text
    assert f'id="token-{oldest}"' not in page.text


def test_the_page_shows_the_last_50_requests_the_newest_first(gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    with gateway.client() as wonder:
        for _ in range(52):
            wonder.check_token(token)
    page = get(gateway).text.split("<main>")[1]
    shown = re.findall(r'<tr role="row" id="request-(\d+)"', page)
    assert shown == [str(request.number) for request in gateway.requests[:1:-1]]
    newest = text(page.split(f'id="request-{shown[0]}"')[1].partition("</tr>")[0])
    assert newest.split()[1:] == [gateway.requests[-1].request_id, token, "200", "✓", "good"]


@pytest.mark.parametrize(("button", "state"), [("approve", "✓ success"), ("decline", "✗ failed")])
def test_a_button_ends_3ds_and_leads_back(gateway: SimulatedGateway, button: str, state: str) -> None:
    token = gateway.add_token()
    answer = post(gateway, f"/tokens/{token}/{button}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert state in row(get(gateway), token)
    with gateway.client() as wonder:
        assert wonder.check_token(token).state == state.split()[1]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("GET", f"/tokens/{TOKEN}/approve", 405),
        ("POST", f"/tokens/{TOKEN}/approve", 404),
        ("POST", "/tokens/nonsense/approve", 404),
    ],
)
def test_what_there_is_not_is_told_in_a_short_text(
    gateway: SimulatedGateway, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, gateway.base_url + path, trust_env=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert 0 < len(answer.text) < 50


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "rebound.example", "Origin": "http://rebound.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_a_page_of_another_site_ends_no_3ds(gateway: SimulatedGateway, headers: dict[str, str]) -> None:
    token = gateway.add_token()
    assert post(gateway, f"/tokens/{token}/approve", **headers).status_code in (400, 403)
    assert "pending" in row(get(gateway), token)


def test_the_gateways_own_page_ends_3ds_under_both_its_names(gateway: SimulatedGateway) -> None:
    for origin in (gateway.base_url, gateway.base_url.replace("127.0.0.1", "localhost")):
        headers = {"Host": origin.removeprefix("http://"), "Origin": origin, "Sec-Fetch-Site": "same-origin"}
        assert post(gateway, f"/tokens/{gateway.add_token()}/approve", **headers).status_code == 303


def test_the_page_is_not_for_another_sites_name_nor_frame(gateway: SimulatedGateway) -> None:
    foreign = get(gateway, Host="rebound.example")
    assert (foreign.status_code, gateway.app_id in foreign.text) == (400, False)
    policy = get(gateway).headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_what_came_is_shown_as_text_and_never_as_markup(gateway: SimulatedGateway) -> None:
    body = json.dumps({"payment_token": {"token": SCRIPT}}).encode()
    send(gateway, Credential=SCRIPT)
    send(gateway, Nonce=SCRIPT, body=body, **{"X-Request-ID": SCRIPT})
    send(gateway, lambda *_: SCRIPT, uri=CHECK.replace("uuid/", SCRIPT.replace("/", "") + "/"))
    gateway.decline(gateway.add_token(token_type=SCRIPT), error_code=SCRIPT)
    gateway.add_token(states=[SCRIPT, SCRIPT])
    page = get(gateway).text
    assert page.count("<script") == 1
    assert page.count("&lt;script&gt;alert(1)") >= 8


def test_what_would_not_be_seen_is_shown_as_an_escape(gateway: SimulatedGateway) -> None:
    send(gateway, body=b'{"a":\r\n "\xe2\x80\x8b\xff"}')
    assert r"{&#34;a&#34;:\r\n &#34;\u200b\xff&#34;}" in get(gateway).text


def test_a_refused_signature_shows_all_its_pieces_and_no_secret(gateway: SimulatedGateway) -> None:
    body = json.dumps({"payment_token": {"token": TOKEN}}).encode()
    signature = sign(gateway.private_key, "nonsense")
    request = send(gateway, lambda *_: signature, body=body, uri=CHECK + "?a=1")
    verdict = request.verdict
    assert verdict.hmacs
    page = html.unescape(get(gateway).text)
    assert "SIM_SIGNATURE: Signature does not match" in page
    for piece in (
        verdict.credential,
        verdict.nonce,
        f"{CHECK}?a=1",
        body.decode(),
        f"{len(body)} bytes",
        sha256(body).hexdigest(),
        *verdict.hmacs,
        string_to_sign(verdict.credential, verdict.nonce, "POST", CHECK + "?a=1", body),
        time.strftime("%Y%m%d%H%M%S", time.gmtime(request.time)),
    ):
        assert piece in page
    pem = gateway.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for secret in (signature, *pem.strip().split("\n")[1:-1], format(gateway.private_key.private_numbers().d, "x")):
        assert secret not in page


def test_of_a_long_body_the_beginning_is_kept_and_the_rest_counted(gateway: SimulatedGateway) -> None:
    verdict = send(gateway, body=b"x" * 5000).verdict
    assert (len(verdict.body), verdict.body_length) == (4096, 5000)
    assert "(the first 4096 bytes)" in get(gateway).text


@pytest.mark.parametrize("seconds", [8 * 3600, -2400, -20, 20])
def test_the_page_tells_by_how_much_a_requests_time_is_off(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    send(gateway, seconds=seconds)
    assert re.search(rf"at the gateway: {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}[ ;]", get(gateway).text)


def test_a_clock_that_is_off_on_purpose_is_told(gateway: SimulatedGateway) -> None:
    gateway.clock_offset = 3600
    assert "The gateway's clock is 3600 s ahead (1:00:00) of this machine's." in html.unescape(get(gateway).text)


@pytest.mark.parametrize(
    ("seconds", "headers", "hint"),
    [
        (0, {"Credential": ""}, "There is no Credential header."),
        (0, {"Credential": "a/b"}, "It has 2 parts"),
        (0, {"Credential": "a/20260101000000/HMAC"}, "Its last part is not"),
        (0, {"Credential": "/20260101000000/Wonder-RSA-SHA256"}, "The app id is missing."),
        (0, {"Credential": "a/1767225600/Wonder-RSA-SHA256"}, "not 14 digits"),
        (0, {"Credential": "a b/20260101000000/Wonder-RSA-SHA256"}, "white space"),
        (0, {"Credential": "a/20260101000000/Wonder-RSA-SHA256"}, "Wanted is "),
        (0, {"Credential": "{app_id}/20269999000000/Wonder-RSA-SHA256"}, None),
        (8 * 3600, {}, "UTC is wanted"),
        (-5.5 * 3600, {}, "UTC is wanted"),
        (40 * 60, {}, None),
        (0, {"Nonce": ""}, "There is no Nonce header."),
        (0, {"Nonce": "short"}, "It has 5 characters."),
    ],
)
def test_a_refusal_says_what_to_change(
    gateway: SimulatedGateway, seconds: float, headers: dict[str, str], hint: str | None
) -> None:
    headers = {name: value.replace("{app_id}", gateway.app_id) for name, value in headers.items()}
    verdict = send(gateway, seconds=seconds, **headers).verdict
    assert verdict.refusal
    assert (hint or "") in (verdict.hint or "")
    assert bool(hint) == bool(verdict.hint)
    assert verdict.refusal.message in html.unescape(get(gateway).text)


CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # which can't be had in most containers; it opens nothing but our own page
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # Not for the whole session: as long as it runs, this thread has a running asyncio loop, and asyncio.run() fails.
    if CHROMIUM is None:
        pytest.fail("There is no chromium on the PATH.", pytrace=False)
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    yield chromium
    for context in chromium.contexts:
        context.close()


def opened(browser: Browser, gateway: SimulatedGateway, **settings: Any) -> tuple[Page, list[str]]:
    """Open the page; what the browser complains about goes to the list."""
    page, complaints = browser.new_page(**settings), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(gateway.base_url)
    return page, complaints


def row_of(page: Page, token: str) -> Locator:
    return page.get_by_role("table", name="Payment tokens").get_by_role("row").filter(has_text=token)


@pytest.mark.browser
@pytest.mark.parametrize("has_javascript", [True, False])
@pytest.mark.parametrize(("button", "state"), [("Approve", "success"), ("Decline", "failed")])
def test_a_button_pressed_in_a_browser_ends_a_wait(
    browser: Browser, gateway: SimulatedGateway, *, has_javascript: bool, button: str, state: str
) -> None:
    token = gateway.add_token()
    looked = threading.Event()
    with ThreadPoolExecutor(1) as threads, gateway.client() as wonder:
        waiting = threads.submit(wonder.wait_for_token, token, timeout=30, on_poll=lambda _: looked.set())
        assert looked.wait(30)
        page, complaints = opened(browser, gateway, java_script_enabled=has_javascript)
        expect(row_of(page, token)).to_contain_text("pending")
        assert not waiting.done()
        row_of(page, token).get_by_role("button", name=button).click()
        expect(row_of(page, token)).to_contain_text(state)
        assert waiting.result(30).state == state
    assert page.url == gateway.base_url + "/"
    assert complaints == []


@pytest.mark.browser
def test_the_page_refreshes_by_itself_and_keeps_what_is_open_in_its_place(
    browser: Browser, gateway: SimulatedGateway
) -> None:
    number = send(gateway).number
    page, complaints = opened(browser, gateway, viewport={"width": 390, "height": 600})
    details, summary = page.locator(f"#why-{number}"), page.locator(f"#why-{number} > summary")
    summary.click()
    summary.scroll_into_view_if_needed()
    place = summary.bounding_box()
    newer = send(gateway).number
    expect(page.locator(f"#request-{newer}")).to_be_attached()
    expect(details).to_have_attribute("open", "")
    expect(summary).to_be_focused()
    now = summary.bounding_box()
    assert place
    assert now
    assert now["y"] == pytest.approx(place["y"], abs=1)
    assert complaints == []


@pytest.mark.browser
def test_without_javascript_the_page_says_to_reload(browser: Browser, gateway: SimulatedGateway) -> None:
    page, _ = opened(browser, gateway, java_script_enabled=False)
    expect(page.get_by_text("Reload the page to see what is new.")).to_be_visible()
    token = gateway.add_token()
    expect(row_of(page, token)).to_have_count(0)
    page.reload()
    expect(row_of(page, token)).to_be_visible()


@pytest.mark.browser
def test_the_page_tells_when_the_gateway_has_ended(browser: Browser) -> None:
    with SimulatedGateway() as gateway:
        page, _ = opened(browser, gateway)
        expect(page.get_by_text("The page refreshes by itself.")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("does not answer")


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 390, 768, 1200])
def test_the_page_fits_its_window(browser: Browser, gateway: SimulatedGateway, width: int) -> None:
    send(gateway, Nonce="x" * 200, body=b"x" * 1000)
    page, _ = opened(browser, gateway, viewport={"width": width, "height": 800})
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
