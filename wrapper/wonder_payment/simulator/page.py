"""The simulator's page: the last requests, and the tokens with buttons that complete 3-D Secure."""

import base64
import math
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from .local import local_route
from .state import SimulatorState
from .tokens import TEST_TOKENS
from .verification import clock_difference

__all__ = ["page_route"]

_MAX_REQUESTS = 50
_MAX_TOKENS = 200

_STYLE, _SCRIPT = (Path(__file__).with_name(name).read_text("utf-8") for name in ("page.css", "page.js"))


def _content_source(content: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"


# If escaping fails, nothing runs the markup; and no other site can put this page into a frame.
_CONTENT_POLICY = (
    f"default-src 'none'; script-src {_content_source(_SCRIPT)}; style-src {_content_source(_STYLE)}; img-src data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page_route(state: SimulatorState) -> Route:
    """Return the route of the page. Its buttons call the control API."""

    async def page(request: Request) -> Response:
        behaviours = {test.token: test.behaviour for test in TEST_TOKENS}
        with state.lock:
            test_tokens = [state.tokens[token] for token in behaviours if token in state.tokens]
            added = [token for token in state.tokens.values() if token.token not in behaviours]
            requests = list(state.requests)[-_MAX_REQUESTS:]
        content = _TEMPLATE.render(
            added=added[: -_MAX_TOKENS - 1 : -1],
            app_id=state.verifier.app_id,
            base_url=str(request.base_url).rstrip("/"),
            behaviours=behaviours,
            clock_offset=state.clock_offset,
            hidden=max(len(added) - _MAX_TOKENS, 0),
            requests=requests[::-1],
            script=_SCRIPT,
            style=_STYLE,
            test_tokens=test_tokens,
            token_arguments=state.variant.token_arguments,
        )
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": _CONTENT_POLICY}
        return HTMLResponse(content, headers=headers | {"Date": formatdate(state.now(), usegmt=True)})

    return local_route("/", GET=page)


def _visible(text: str | bytes) -> str:
    r"""Return a text with its invisible characters as escapes: ``\n``, ``\xa0``, ``\u200b``."""
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _utc(unix_time: float) -> datetime:
    return datetime.fromtimestamp(unix_time, UTC)


_ENVIRONMENT = Environment(
    loader=PackageLoader("wonder_payment.simulator", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATE = _ENVIRONMENT.get_template(
    "page.html", globals={"visible": _visible, "utc": _utc, "difference": clock_difference, "infinity": math.inf}
)
