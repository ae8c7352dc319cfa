"""The simulator's page: its tokens, with buttons that complete 3-D Secure, and the last requests."""

import base64
import math
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from wonder_payment.models import TokenState

from .state import SimulatorState
from .tokens import TEST_TOKENS

__all__ = ["page_routes"]

_MAX_REQUESTS = 50
_MAX_TOKENS = 200

# A site whose name resolves to this machine has the same origin for a browser: only the Host header differs.
_ON_THIS_MACHINE = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])

_STYLE, _SCRIPT = (Path(__file__).with_name(name).read_text("utf-8") for name in ("page.css", "page.js"))


def _content_source(content: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"


# If escaping fails, nothing runs the markup; and no other site can put this page into a frame.
_CONTENT_POLICY = (
    f"default-src 'none'; script-src {_content_source(_SCRIPT)}; style-src {_content_source(_STYLE)}; img-src data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page_routes(state: SimulatorState) -> list[Route]:
    """Return the routes of the page and its buttons, which accept only browsers on this machine."""

    async def page(request: Request) -> Response:
        behaviours = {test.token: test.behaviour for test in TEST_TOKENS}
        with state.lock:
            test_tokens = [state.tokens[token] for token in behaviours]
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

    async def approve(request: Request) -> Response:
        return settle(request, TokenState.SUCCESS)

    async def decline(request: Request) -> Response:
        return settle(request, TokenState.FAILED)

    def settle(request: Request, result: TokenState) -> Response:
        _reject_other_sites(request)
        token = state.tokens.get(str(request.path_params["token"]))
        if token is None:
            raise HTTPException(404, "The simulator has no such payment token.")
        state.settle(token, result)
        return RedirectResponse("/", status_code=303)

    return [
        Route("/", page, middleware=[_ON_THIS_MACHINE]),
        Route("/tokens/{token:uuid}/approve", approve, methods=["POST"], middleware=[_ON_THIS_MACHINE]),
        Route("/tokens/{token:uuid}/decline", decline, methods=["POST"], middleware=[_ON_THIS_MACHINE]),
    ]


def _reject_other_sites(request: Request) -> None:
    """Reject a request that another site or another port makes a browser send. Programs send neither header."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    own_origin = f"{request.url.scheme}://{request.url.netloc}"
    if origin not in (None, own_origin) or site not in (None, "same-origin", "none"):
        raise HTTPException(403, "Only the simulator's own page may do that.")


def _visible(text: str | bytes) -> str:
    r"""Return a text with its invisible characters as escapes: ``\n``, ``\xa0``, ``\u200b``."""
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _utc(unix_time: float) -> datetime:
    return datetime.fromtimestamp(unix_time, UTC)


def _difference(seconds: float) -> str:
    """Return in words by how much a clock is ahead or behind."""
    if not math.isfinite(seconds):
        return "not a time"
    # A request's time has whole seconds: round, so that the difference fits the two times shown.
    whole = timedelta(seconds=abs(math.ceil(seconds)))
    spelled = f" ({whole})" if whole >= timedelta(minutes=1) else ""
    if not whole:
        return "the same"
    return f"{whole.total_seconds():.0f} s {'ahead' if seconds > 0 else 'behind'}{spelled}"


_ENVIRONMENT = Environment(
    loader=PackageLoader("wonder_payment.simulator", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATE = _ENVIRONMENT.get_template(
    "page.html", globals={"visible": _visible, "utc": _utc, "difference": _difference}
)
