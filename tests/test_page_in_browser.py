"""The simulator's page in a real browser."""

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from conftest import CHECK
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from wonder_payment.simulator import SimulatedGateway

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # most containers have none; Chromium opens our own page only
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # Not for the whole session: while it runs, this thread has a running asyncio loop, and asyncio.run() fails.
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
    """Return the open page, and the list that its console messages and errors go to."""
    page, messages = browser.new_page(**settings), list[str]()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(gateway.base_url)
    return page, messages


def send_unsigned(gateway: SimulatedGateway, **headers: str) -> int:
    """Send a request that is rejected; return its number."""
    httpx.post(gateway.base_url + CHECK, headers=headers, content=b"x" * 1000, trust_env=False)
    return gateway.requests[-1].number


def row_of(page: Page, token: str) -> Locator:
    return page.get_by_role("table", name="Payment tokens").get_by_role("row").filter(has_text=token)


@pytest.mark.parametrize(("button", "state"), [("Approve", "success"), ("Decline", "failed")])
def test_a_button_in_a_browser_ends_a_wait(
    browser: Browser, gateway: SimulatedGateway, button: str, state: str
) -> None:
    token = gateway.add_token()
    polled = threading.Event()
    with ThreadPoolExecutor(1) as threads, gateway.client() as wonder:
        waiting = threads.submit(wonder.wait_for_token, token, timeout=30, on_poll=lambda _: polled.set())
        assert polled.wait(30)
        page, messages = opened(browser, gateway)
        expect(row_of(page, token)).to_contain_text("pending")
        assert not waiting.done()
        row_of(page, token).get_by_role("button", name=button).click()
        expect(row_of(page, token)).to_contain_text(state)
        for name in ("Approve", "Decline"):
            expect(row_of(page, token).get_by_role("button", name=name)).to_be_disabled()
        assert waiting.result(30).state == state
    assert page.url == gateway.base_url + "/"
    assert messages == []


def test_the_page_updates_automatically_and_keeps_open_details_in_place(
    browser: Browser, gateway: SimulatedGateway
) -> None:
    number = send_unsigned(gateway)
    page, messages = opened(browser, gateway, viewport={"width": 390, "height": 600})
    details, summary = page.locator(f"#why-{number}"), page.locator(f"#why-{number} > summary")
    summary.click()
    summary.scroll_into_view_if_needed()
    place = summary.bounding_box()
    newer = send_unsigned(gateway)
    expect(page.locator(f"#request-{newer}")).to_be_attached()
    expect(details).to_have_attribute("open", "")
    expect(summary).to_be_focused()
    now = summary.bounding_box()
    assert place
    assert now
    assert now["y"] == pytest.approx(place["y"], abs=1)
    assert messages == []


def test_without_javascript_the_page_says_to_reload(browser: Browser, gateway: SimulatedGateway) -> None:
    page, _ = opened(browser, gateway, java_script_enabled=False)
    expect(page.get_by_text("Reload the page to update it; its buttons need JavaScript.")).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(0)
    token = gateway.add_token()
    expect(row_of(page, token)).to_have_count(0)
    page.reload()
    expect(row_of(page, token)).to_be_visible()


def test_buttons_add_a_token_clear_the_requests_and_reset(browser: Browser, gateway: SimulatedGateway) -> None:
    send_unsigned(gateway)
    page, messages = opened(browser, gateway)
    page.get_by_role("button", name="New token").click()
    expect(page.get_by_text("always pending")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("No requests yet.")).to_be_visible()
    assert gateway.requests == []
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_text("always pending")).to_have_count(0)
    assert messages == []


def test_a_button_copies_a_token(browser: Browser, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    page, messages = opened(browser, gateway, permissions=["clipboard-read", "clipboard-write"])
    row_of(page, token).get_by_role("button", name="Copy the token").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == token
    assert messages == []


def test_the_keyboard_stays_in_the_row_of_a_token_that_it_settles(browser: Browser, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    page, _ = opened(browser, gateway)
    row_of(page, token).get_by_role("button", name="Approve").press("Enter")
    expect(row_of(page, token)).to_contain_text("success")
    expect(row_of(page, token).get_by_role("button", name="Copy the token")).to_be_focused()


@pytest.mark.parametrize(("width", "is_beside"), [(390, False), (1280, True)])
def test_the_requests_are_beside_the_tokens_or_above_them(
    browser: Browser, gateway: SimulatedGateway, width: int, *, is_beside: bool
) -> None:
    page, _ = opened(browser, gateway, viewport={"width": width, "height": 800})
    requests, tokens = (
        page.get_by_role("heading", name=name).bounding_box() for name in ("Requests", "Payment tokens")
    )
    assert requests
    assert tokens
    assert (requests["y"] == tokens["y"]) is is_beside
    assert requests["y"] <= tokens["y"]


def test_the_page_says_when_the_simulator_has_stopped(browser: Browser) -> None:
    with SimulatedGateway() as gateway:
        page, _ = opened(browser, gateway)
        expect(page.get_by_text("The page updates automatically.")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("does not respond")


@pytest.mark.parametrize("width", [360, 390, 768, 1200, 1280])
def test_the_page_fits_its_window(browser: Browser, gateway: SimulatedGateway, width: int) -> None:
    send_unsigned(gateway, Credential=f"{gateway.app_id}/20260101000000/Wonder-RSA-SHA256", Nonce="x" * 200)
    page, _ = opened(browser, gateway, viewport={"width": width, "height": 800})
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
