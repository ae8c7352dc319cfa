"""The simulator's HTTP side, as a Starlette application."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .connections import play
from .control import ControlAPI, error_response
from .page import page_route
from .state import SimulatorState

__all__ = ["application"]

CHECK_PATH = "/svc/payment/api/v1/openapi/customers/{customer_uuid}/payment_tokens/check"


def application(state: SimulatorState, reset: Callable[[Request], Awaitable[None]]) -> Starlette:
    """Return the application: the endpoint of the contract, the echo request, the page and its control API.

    Args:
        state: The simulator's state.
        reset: Returns the simulator to its initial state, and keeps the connection of the request.
    """

    async def respond(request: Request) -> Response:
        # The signature is over the path as sent, with its escapes.
        uri = request.scope["raw_path"].decode("ascii")
        if request.scope["query_string"]:
            uri += "?" + request.scope["query_string"].decode("ascii")
        response, fault = state.respond(request.method, uri, request, await request.body())
        return response if fault is None else await play(fault, response, request)

    paths = [CHECK_PATH, *state.variant.echo_paths]
    served = [Route(path, respond, methods=["POST"]) for path in paths]
    routes = [*served, page_route(state), ControlAPI(state, reset).mount()]
    return Starlette(routes=routes, exception_handlers={HTTPException: error_response})
