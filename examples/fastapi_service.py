"""A FastAPI service for the page to which the cardholder returns from 3-D Secure: it returns the state of the token.

Set the client's WONDER_… variables, and run ``uvicorn fastapi_service:app``. The token comes in the body, because URLs
are logged.
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
TIMEOUT = 5.0  # seconds until the page is told to retry
STATUSES = {
    422: (wp.InvalidTokenError, wp.BadRequestError),
    404: (wp.NotFoundError,),
    503: (wp.RateLimitError,),
    504: (wp.RequestTimeoutError,),
    500: (wp.AuthenticationError, wp.ConfigurationError),
}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, wp.AsyncWonderClient]]:
    """Keep one client while the service runs."""
    async with wp.AsyncWonderClient.from_env() as wonder:
        yield {"wonder": wonder}


app = FastAPI(lifespan=lifespan)


@app.post("/verification")
async def verification(token: Annotated[str, Body(embed=True)], request: Request, response: Response) -> dict[str, str]:
    """Return the final state of 3-D Secure, or 202 while it is pending."""
    try:  # check in your own records that the token belongs to this customer
        result = await request.state.wonder.wait_for_token(token, timeout=TIMEOUT)
    except wp.StillPendingError as error:
        if error.token is None and error.last_error:  # no poll succeeded
            raise error.last_error from None
        response.status_code, response.headers["Retry-After"] = 202, "2"
        return {"state": "pending"}
    return {"state": result.state} | ({"error_code": result.error_code} if result.error_code else {})


@app.exception_handler(wp.WonderError)
async def problem(_request: Request, error: wp.WonderError) -> JSONResponse:
    """Return problem details (RFC 9457): the error's type and the request id. The full message goes to the log."""
    name = type(error).__name__
    log.error("%s: %s", name, error)
    status = next((status for status, kinds in STATUSES.items() if isinstance(error, kinds)), 502)
    content = {"title": HTTPStatus(status).phrase, "status": status, "error": name, "request_id": error.request_id}
    headers = {"Retry-After": str(math.ceil(error.retry_after or 5))} if isinstance(error, wp.RateLimitError) else {}
    return JSONResponse(content, status, headers, media_type="application/problem+json")
