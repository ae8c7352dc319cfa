"""The control API: what a Python test does by calling the simulator, over HTTP for any other language.

control.yaml describes it.
"""

import json
import math
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount

from wonder_payment.models import TokenState

from .as_json import FAULT_FIELDS, FOREVER, TOKEN_FIELDS, fault_json, request_json, token_json
from .faults import Fault, InjectedFault
from .local import local_route
from .state import SimulatorState
from .tokens import SimulatedToken

__all__ = ["control_api"]

_DESCRIPTION = Path(__file__).with_name("control.yaml").read_text("utf-8")

_T = TypeVar("_T")


def control_api(state: SimulatorState, reset: Callable[[Request], Awaitable[None]]) -> Mount:
    """Return the control API of a simulator.

    Args:
        state: The simulator's state.
        reset: Returns the simulator to its initial state, and keeps the connection of the request.
    """

    async def describe(_request: Request) -> Response:
        return Response(_DESCRIPTION, media_type="application/yaml")

    async def list_tokens(_request: Request) -> Response:
        with state.lock:
            return JSONResponse({"tokens": [token_json(token) for token in state.tokens.values()]})

    async def add_token(request: Request) -> Response:
        fields = await _fields(request, TOKEN_FIELDS)
        token = _checked(lambda: SimulatedToken(**fields))
        state.add(token)
        return JSONResponse(token_json(token), 201)

    async def show_token(request: Request) -> Response:
        return JSONResponse(token_json(named_token(request)))

    async def delete_token(request: Request) -> Response:
        await _fields(request, ())
        state.delete(named_token(request))
        return Response(status_code=204)

    async def approve(request: Request) -> Response:
        await _fields(request, ())
        return JSONResponse(token_json(state.settle(named_token(request), TokenState.SUCCESS)))

    async def decline(request: Request) -> Response:
        fields = await _fields(request, ("error_code", "error_message"))
        token = named_token(request)
        return JSONResponse(token_json(_checked(lambda: state.settle(token, TokenState.FAILED, **fields))))

    def named_token(request: Request) -> SimulatedToken:
        token = state.find(request.path_params["token"])
        if token is None:
            raise HTTPException(404, "The simulator has no such payment token.")
        return token

    async def list_faults(_request: Request) -> Response:
        with state.lock:
            return JSONResponse({"faults": [fault_json(injected) for injected in state.faults]})

    async def add_fault(request: Request) -> Response:
        fields = await _fields(request, ("token", *FAULT_FIELDS))
        token = fields.pop("token", None)
        if token is not None:
            known = state.find(token)
            if known is None:
                raise HTTPException(400, "token must be a payment token of the simulator, or null")
            token = known.token
        for name in ("delay", "times"):
            if fields.get(name) == FOREVER:
                fields[name] = math.inf
        injected = InjectedFault(_checked(lambda: Fault(**fields)), token)
        with state.lock:
            state.faults.append(injected)
        return JSONResponse(fault_json(injected), 201)

    async def clear_faults(request: Request) -> Response:
        await _fields(request, ())
        with state.lock:
            state.faults.clear()
        return Response(status_code=204)

    async def list_requests(_request: Request) -> Response:
        return JSONResponse({"requests": [request_json(request) for request in list(state.requests)]})

    async def clear_requests(request: Request) -> Response:
        await _fields(request, ())
        state.requests.clear()
        return Response(status_code=204)

    async def reset_all(request: Request) -> Response:
        await _fields(request, ())
        await reset(request)
        return Response(status_code=204)

    routes = [
        local_route("/openapi.yaml", GET=describe),
        local_route("/tokens", GET=list_tokens, POST=add_token),
        local_route("/tokens/{token}", GET=show_token, DELETE=delete_token),
        local_route("/tokens/{token}/approve", POST=approve),
        local_route("/tokens/{token}/decline", POST=decline),
        local_route("/faults", GET=list_faults, POST=add_fault, DELETE=clear_faults),
        local_route("/requests", GET=list_requests, DELETE=clear_requests),
        local_route("/reset", POST=reset_all),
    ]
    return Mount("/_simulator", Starlette(routes=routes, exception_handlers={HTTPException: _error}))


async def _error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (the handler of this class)
    return JSONResponse({"message": error.detail}, error.status_code, headers=error.headers)


async def _fields(request: Request, known: Collection[str]) -> dict[str, Any]:
    """Return the fields of a JSON body; none if there is no body.

    Raises:
        HTTPException: The body is not an object of known fields.
    """
    body = await request.body()
    content_type = request.headers.get("Content-Type")
    if not body and content_type is None:
        return {}
    # A form of another site can send any other type without the browser's asking the simulator first.
    if content_type is None or content_type.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Content-Type must be application/json.")
    try:
        fields: Any = json.loads(body or b"{}", parse_constant=_reject_constant)
        json.dumps(fields, ensure_ascii=False).encode()  # half a surrogate pair could not be sent
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body must be JSON.") from None
    if not isinstance(fields, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    for name in fields:
        if name not in known:
            raise HTTPException(400, f"{name} is unknown; known are: {', '.join(known) or 'no fields'}.")
    return fields


def _reject_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _checked(make: Callable[[], _T]) -> _T:
    try:
        return make()
    except ValueError as error:
        raise HTTPException(400, str(error.args[0])) from None
