"""The docs site: it has all public names, fetches nothing from elsewhere, and works from a server and from disk."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread

import griffe
import pytest
from mkdocstrings import Inventory
from playwright.sync_api import Page, sync_playwright

SITE = Path(__file__).parent.parent.parent / "site"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
CHROMIUM = shutil.which("chromium")

PUBLIC = [
    (module, name)
    for module in ("wonder_payment", "wonder_payment.signing", "wonder_payment.simulator", "wonder_payment_pytest")
    for name in import_module(module).__all__
]
# What a reader searches for, and a page that must be among the results.
SEARCHES = {
    "StillPendingError": "reference/errors.html",
    "polling": "guides/waiting.html",
    "webhook": "guides/integrate.html",
    "idempotency": "faq.html",
    "HSM": "guides/keys.html",
    "several merchants": "faq.html",
    "Windows": "faq.html",
    "rate limit": "faq.html",
    "sandbox money": "faq.html",
}

each_public_name = pytest.mark.parametrize(("module", "name"), PUBLIC, ids=[".".join(names) for names in PUBLIC])
each_page = pytest.mark.parametrize("page", PAGES)


@each_public_name
def test_a_public_name_is_in_the_reference(module: str, name: str) -> None:
    with (SITE / "objects.inv").open("rb") as file:
        assert f"{module}.{name}" in Inventory.parse_sphinx(file)


@each_public_name
def test_a_public_name_has_a_docstring(module: str, name: str) -> None:
    thing = griffe.load(module, resolve_aliases=True)[name]
    assert thing.docstring, "add a docstring, or a string below the assignment"


class _Assets(HTMLParser):
    """Collects the addresses that a page loads without a click."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.inline = tag == "style"
        names = ("src", "srcset", "data", "poster") + (("href",) if tag == "link" else ())
        self.loaded += [address for name in names if (address := given.get(name))]
        self.loaded += _from_style(given.get("style") or "")

    def handle_data(self, data: str) -> None:
        if self.inline:
            self.loaded += _from_style(data)


def _from_style(style: str) -> list[str]:
    return re.findall(r"""(?:url\(|@import)\s*["']?([^"')]+)""", style)


def _is_foreign(address: str) -> bool:
    return re.match(r"(?!data:)[a-z]+:|//", address, re.IGNORECASE) is not None


@each_page
def test_no_page_loads_an_asset_from_elsewhere(page: str) -> None:
    assets = _Assets()
    assets.feed((SITE / page).read_text())
    assert len(assets.loaded) > 2
    assert [address for address in assets.loaded if _is_foreign(address)] == []


def test_no_stylesheet_loads_an_asset_from_elsewhere() -> None:
    styles = list(SITE.rglob("*.css"))
    assert len(styles) > 1
    assert [address for style in styles for address in _from_style(style.read_text()) if _is_foreign(address)] == []


@each_page
def test_no_signature_has_a_private_name(page: str) -> None:
    signatures = re.findall(r'<div class="doc-signature.*?</div>', (SITE / page).read_text(), re.DOTALL)
    names = {name for signature in signatures for name in re.findall(r"[\w.]+", re.sub(r"<[^>]+>", "", signature))}
    assert {name for name in names if re.search(r"(^|\.)_(?!_)", name) or name == "TransportT"} == set()


@each_page
def test_no_page_has_unrendered_marks(page: str) -> None:
    assert re.findall(r"--8<--|<p>:::|<p>```", (SITE / page).read_text()) == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=SITE)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@contextmanager
def browser_tab(width: int) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.fail("The tests marked browser need chromium on the PATH.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page(viewport={"width": width, "height": 800})
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "narrow"])
def test_a_browser_loads_nothing_from_elsewhere_and_each_page_fits_its_width(address: str, width: int) -> None:
    foreign, problems, too_wide = set(), set(), {}
    with browser_tab(width) as tab:
        tab.on("request", lambda request: request.url.startswith((address, "data:")) or foreign.add(request.url))
        tab.on("console", lambda message: message.type != "error" or problems.add(message.text))
        for page in PAGES:
            tab.goto(address + page, wait_until="load")
            page_width = tab.evaluate("document.documentElement.scrollWidth")
            if page_width > width:
                too_wide[page] = page_width
    assert (foreign, problems, too_wide) == (set(), set(), {})


@pytest.mark.browser
def test_the_home_page_draws_its_diagram() -> None:
    with browser_tab(1280) as tab:
        tab.goto((SITE / "index.html").as_uri())
        # The theme draws it in a closed shadow root, so only its size is visible.
        tab.locator("div.mermaid").wait_for()
        box = tab.locator("div.mermaid").bounding_box()
    assert box
    assert box["height"] > 300


@pytest.mark.browser
def test_the_search_finds_what_readers_look_for_when_the_site_is_opened_from_disk() -> None:
    foreign, found = set(), {}
    with browser_tab(1280) as tab:
        tab.on(
            "request", lambda request: request.url.startswith(("file:", "data:", "blob:")) or foreign.add(request.url)
        )
        for words, page in SEARCHES.items():
            tab.goto(f"{(SITE / 'index.html').as_uri()}?q={words}")
            results = tab.locator("a.md-search-result__link")
            results.first.wait_for()
            found[words] = [page in str(link.get_attribute("href")) for link in results.all()]
    assert foreign == set()
    assert [words for words, hits in found.items() if not any(hits)] == []
