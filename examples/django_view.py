"""A Django view: the page that the card holder comes back to from 3-D Secure asks it how that ended.

Set the client's WONDER_… variables, and add ``path("", include("django_view"))`` to the project's urlpatterns.
"""

import logging
import math
from functools import cache

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from wonder_payment import InvalidTokenError, NotFoundError, RetryPolicy, WonderClient, WonderError

log = logging.getLogger(__name__)


@cache
def wonder() -> WonderClient:
    """Return the one client of this process, made at the first request. Its threads share it."""
    # A worker waits here: rather let the page ask again than keep it.
    return WonderClient.from_env(timeout=3.0, retry=RetryPolicy(max_attempts=2, max_elapsed=5.0))


# The token comes in the body, not in the URL, which is logged, and Django's error reports leave it out. Whether it is
# this customer's, your own records know.
@sensitive_post_parameters("token")
@require_POST
def verification(request: HttpRequest) -> JsonResponse:
    """Tell whether the card may be charged: 200 with the end of 3-D Secure, or 202 while it lasts."""
    try:
        token = wonder().check_token(request.POST.get("token", ""))
    except (InvalidTokenError, NotFoundError) as error:
        return JsonResponse({"error": "no such token", "request_id": error.request_id}, status=404)
    except WonderError as error:
        log.warning("%s: %s", type(error).__name__, error)  # a message of this package has no secrets
        again = math.ceil(getattr(error, "retry_after", None) or 5)
        answer = {"error": "ask again later", "request_id": error.request_id}
        return JsonResponse(answer, status=503, headers={"Retry-After": again})
    if token.is_pending:
        return JsonResponse({"state": "pending"}, status=202, headers={"Retry-After": 2})
    return JsonResponse({"state": token.state, "error_code": token.error_code})


urlpatterns = [path("verification", verification)]
