"""The control API: what a Python test does by calling the simulator, over HTTP for any other language.

control.yaml describes it.
"""

import json
import math
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount

from wonder_payment.config import checked_uuid
from wonder_payment.models import TokenState

from .as_json import FAULT_FIELDS, FOREVER, TOKEN_FIELDS, fault_json, request_json, token_json
from .faults import Fault, InjectedFault
from .local import local_route
from .state import SimulatorState
from .tokens import SimulatedToken

__all__ = ["ControlAPI", "error_response"]

_PATH = "/_simulator"

_DESCRIPTION = Path(__file__).with_name("control.yaml").read_text("utf-8")

_T = TypeVar("_T")


class ControlAPI:
    """The control API of a simulator.

    Args:
        state: The simulator's state.
        reset: Returns the simulator to its initial state, and keeps the connection of the request.
    """

    def __init__(self, state: SimulatorState, reset: Callable[[Request], Awaitable[None]]) -> None:
        self._state = state
        self._reset = reset

    def mount(self) -> Mount:
        """Return its routes."""
        routes = [
            local_route("/openapi.yaml", GET=self._describe),
            local_route("/tokens", GET=self._list_tokens, POST=self._add_token),
            local_route("/tokens/{token}", GET=self._show_token, DELETE=self._delete_token),
            local_route("/tokens/{token}/approve", POST=self._approve),
            local_route("/tokens/{token}/decline", POST=self._decline),
            local_route("/faults", GET=self._list_faults, POST=self._add_fault, DELETE=self._clear_faults),
            local_route("/requests", GET=self._list_requests, DELETE=self._clear_requests),
            local_route("/reset", POST=self._reset_all),
        ]
        return Mount(_PATH, routes=routes)

    async def _describe(self, _request: Request) -> Response:
        return Response(_DESCRIPTION, media_type="application/yaml")

    async def _list_tokens(self, _request: Request) -> Response:
        with self._state.lock:
            return JSONResponse({"tokens": [token_json(token) for token in self._state.tokens.values()]})

    async def _add_token(self, request: Request) -> Response:
        fields = await _fields(request, TOKEN_FIELDS)
        token = _checked(lambda: SimulatedToken(**fields))
        self._state.add(token)
        return JSONResponse(token_json(token), 201)

    async def _show_token(self, request: Request) -> Response:
        return JSONResponse(token_json(self._named_token(request)))

    async def _delete_token(self, request: Request) -> Response:
        await _fields(request, ())
        self._state.delete(self._named_token(request))
        return Response(status_code=204)

    async def _approve(self, request: Request) -> Response:
        await _fields(request, ())
        return JSONResponse(token_json(self._state.settle(self._named_token(request), TokenState.SUCCESS)))

    async def _decline(self, request: Request) -> Response:
        fields = await _fields(request, ("error_code", "error_message"))
        token = self._named_token(request)
        return JSONResponse(token_json(_checked(lambda: self._state.settle(token, TokenState.FAILED, **fields))))

    def _named_token(self, request: Request) -> SimulatedToken:
        return self._known(request.path_params["token"])

    def _known(self, token: str | UUID) -> SimulatedToken:
        known = self._state.find(token)
        if known is None:
            raise HTTPException(404, "The simulator has no such payment token.")
        return known

    async def _list_faults(self, _request: Request) -> Response:
        with self._state.lock:
            return JSONResponse({"faults": [fault_json(injected) for injected in self._state.faults]})

    async def _add_fault(self, request: Request) -> Response:
        fields = await _fields(request, ("token", *FAULT_FIELDS))
        token = fields.pop("token", None)
        if token is not None:
            token = self._known(_checked(lambda: checked_uuid("token", token))).token
        for name in ("delay", "times"):
            if fields.get(name) == FOREVER:
                fields[name] = math.inf
        injected = InjectedFault(_checked(lambda: Fault(**fields)), token)
        with self._state.lock:
            self._state.faults.append(injected)
        return JSONResponse(fault_json(injected), 201)

    async def _clear_faults(self, request: Request) -> Response:
        await _fields(request, ())
        with self._state.lock:
            self._state.faults.clear()
        return Response(status_code=204)

    async def _list_requests(self, _request: Request) -> Response:
        return JSONResponse({"requests": [request_json(request) for request in list(self._state.requests)]})

    async def _clear_requests(self, request: Request) -> Response:
        await _fields(request, ())
        self._state.requests.clear()
        return Response(status_code=204)

    async def _reset_all(self, request: Request) -> Response:
        await _fields(request, ())
        await self._reset(request)
        return Response(status_code=204)


async def error_response(request: Request, error: Exception) -> Response:
    """Return the response to a request that is wrong: JSON for programs, a short text for all others."""
    assert isinstance(error, HTTPException)  # noqa: S101 (the handler of this class)
    if request.url.path.startswith(_PATH):
        return JSONResponse({"message": error.detail}, error.status_code, headers=error.headers)
    return PlainTextResponse(error.detail, error.status_code, headers=error.headers)


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
        content: Any = json.loads(body or b"{}", parse_float=_number, parse_constant=_reject_constant)
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair could not be sent
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body must be JSON.") from None
    if not isinstance(content, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    fields = cast("dict[str, Any]", content)
    for name in fields:
        if name not in known:
            raise HTTPException(400, f"{name} is unknown. Known fields: {', '.join(known) or 'none'}.")
    return fields


def _number(text: str) -> float:
    """Return a number; in JSON, 1.0 is a whole one."""
    number = float(text)
    if math.isinf(number):
        raise ValueError("the number is too large")
    return int(number) if number.is_integer() else number


def _reject_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _checked(make: Callable[[], _T]) -> _T:
    try:
        return make()
    except ValueError as error:
        raise HTTPException(400, str(error.args[0])) from None
