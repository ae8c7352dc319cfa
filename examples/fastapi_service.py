"""A FastAPI service: the page that the card holder comes back to from 3-D Secure asks it how that ended.

Set the client's WONDER_… variables, and run ``uvicorn fastapi_service:app``. Tokens come in a body: URLs are logged.
"""

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated

import wonder_payment as wp
from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import JSONResponse

log = logging.getLogger(__name__)
PATIENCE = 5.0  # seconds until the page is told to ask again
STATUSES = {
    422: (wp.InvalidTokenError, wp.BadRequestError),
    404: (wp.NotFoundError,),
    503: (wp.RateLimitError,),
    504: (wp.RequestTimeoutError,),
    500: (wp.AuthenticationError, wp.ConfigurationError),
}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, wp.AsyncWonderClient]]:
    """Have one client for as long as the service runs."""
    async with wp.AsyncWonderClient.from_env() as wonder:
        yield {"wonder": wonder}


app = FastAPI(lifespan=lifespan)


@app.post("/verification")
async def verification(token: Annotated[str, Body(embed=True)], request: Request, response: Response) -> dict[str, str]:
    """Tell how 3-D Secure ended, or to ask again."""
    try:  # whether the token is this customer's, your own records know
        answer = await request.state.wonder.wait_for_token(token, timeout=PATIENCE)
    except wp.StillPendingError as error:
        if error.token is None and error.__cause__:  # no look was answered, and that is why
            raise error.__cause__ from None
        response.status_code, response.headers["Retry-After"] = 202, "2"
        return {"state": "pending"}
    return {"state": answer.state} | ({"error_code": answer.error_code} if answer.error_code else {})


@app.exception_handler(wp.WonderError)
async def problem(_request: Request, error: wp.WonderError) -> JSONResponse:
    """Answer with problem details (RFC 9457): the kind for the page, the request id for support; all for the log."""
    name = type(error).__name__
    log.error("%s: %s", name, error)
    status = next((status for status, kinds in STATUSES.items() if isinstance(error, kinds)), 502)
    content = {"title": HTTPStatus(status).phrase, "status": status, "error": name, "request_id": error.request_id}
    again = {"Retry-After": str(math.ceil(error.retry_after or 5))} if isinstance(error, wp.RateLimitError) else {}
    return JSONResponse(content, status, again, media_type="application/problem+json")
