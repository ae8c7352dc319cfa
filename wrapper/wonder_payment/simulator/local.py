"""The simulator's page and control API accept only browsers and programs on this machine."""

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["local_route"]

Handler = Callable[[Request], Awaitable[Response]]


def local_route(path: str, **handlers: Handler) -> Route:
    """Return a route with a handler for each method. It rejects what another site makes a browser send."""

    async def guarded(request: Request) -> Response:
        _reject_other_hosts(request)
        if request.method in ("GET", "HEAD"):
            return await handlers["GET"](request)
        _reject_other_sites(request)
        return await handlers[request.method](request)

    return Route(path, guarded, methods=list(handlers))


def _reject_other_hosts(request: Request) -> None:
    # A site whose name resolves to this machine has the same origin for a browser: only the Host header differs.
    if request.headers.get("Host", "").partition(":")[0] not in ("127.0.0.1", "localhost"):
        raise HTTPException(400, "Host must be 127.0.0.1 or localhost.")


def _reject_other_sites(request: Request) -> None:
    """Reject a request that another site or another port makes a browser send. Programs send neither header."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    own_origin = f"{request.url.scheme}://{request.url.netloc}"
    if origin not in (None, own_origin) or site not in (None, "same-origin", "none"):
        raise HTTPException(403, "Only programs and the simulator's own page may send this request.")
