"""Wait for 3-D Secure to end, however long it takes: a Celery task that looks once and comes back later, over Redis.

Set CELERY_BROKER_URL and CELERY_RESULT_BACKEND (rediss://… between machines: tokens pass through) and the client's own
WONDER_… variables. Run ``celery -A celery_wait worker --loglevel INFO`` (DEBUG would log the tokens); the service calls
``start(token)``, and keeps the result's id.
"""

import time
from functools import cache
from typing import Any

import wonder_payment as wp
from celery import Celery, Task
from celery.result import AsyncResult

WITHIN = 600  # seconds that the card holder has
POLL = wp.PollPolicy(longest=15.0, growth=0.1)  # nobody sits in front of a page
HIDDEN = "<a token>"  # what logs and monitors show of the arguments

app = Celery("celery_wait")  # which takes the two addresses from the environment
app.conf.update(
    # At least once: a look leaves the queue when it is done. One that is made twice does no harm.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # When a whole machine dies, Redis hands out again what it held after so many seconds. Longer than any countdown:
    # what is handed out while it waits is done twice. What a worker was just taking over when it died is lost (RabbitMQ
    # has no such gap): start() again what has no result long after WITHIN.
    broker_transport_options={"visibility_timeout": WITHIN + 60},
)


@cache
def client() -> wp.WonderClient:
    """Return the one client of this worker process. It does not repeat an attempt: the task does."""
    return wp.WonderClient.from_env(retry=wp.RetryPolicy.never())


@app.task(bind=True, max_retries=None)
def wait_for_token(self: Task, token: str, began: float) -> dict[str, Any]:
    """Look once; return the end, a refusal, or what the last look saw when the time is over; else come back later."""
    wonder, pause = client(), POLL.delay(time.time() - began)
    try:
        answer = wonder.check_token(token)
        result = {"state": str(answer.state), "error": answer.error_code}
        is_over = not answer.is_pending
    except wp.WonderError as error:
        result = {"state": None, "error": f"{type(error).__name__}: {error}"}
        is_over = not error.is_transient
        pause = max(pause, getattr(error, "retry_after", None) or 0.0)
    left = began + WITHIN - time.time()
    if is_over or left <= 0:
        return result
    raise self.retry(countdown=min(pause, left), argsrepr=HIDDEN)


def start(token: str) -> AsyncResult:
    """Begin to wait; the result is a dict with the state and the error."""
    return wait_for_token.apply_async((token, time.time()), argsrepr=HIDDEN)
