"""A Django view for the page to which the cardholder returns from 3-D Secure: it returns the state of the token.

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
    """Return the one client of this process, made for the first request. The threads share it."""
    # A worker is blocked during a check, so fail early and let the page request it again.
    return WonderClient.from_env(timeout=3.0, retry=RetryPolicy(max_attempts=2, max_elapsed=5.0))


# The token comes in the body, because URLs are logged; Django's error reports leave it out. Check in your own records
# that the token belongs to this customer.
@sensitive_post_parameters("token")
@require_POST
def verification(request: HttpRequest) -> JsonResponse:
    """Return whether the card may be charged: 200 with the final state, or 202 while 3-D Secure is pending."""
    try:
        token = wonder().check_token(request.POST.get("token", ""))
    except (InvalidTokenError, NotFoundError) as error:
        return JsonResponse({"error": "no such token", "request_id": error.request_id}, status=404)
    except WonderError as error:
        log.warning("%s: %s", type(error).__name__, error)  # the messages of this package contain no secrets
        retry_after = math.ceil(error.retry_after or 5)
        content = {"error": "retry later", "request_id": error.request_id}
        return JsonResponse(content, status=503, headers={"Retry-After": retry_after})
    if token.is_pending:
        return JsonResponse({"state": "pending"}, status=202, headers={"Retry-After": 2})
    return JsonResponse({"state": token.state, "error_code": token.error_code})


urlpatterns = [path("verification", verification)]
