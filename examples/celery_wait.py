"""Wait for 3-D Secure without blocking a worker: a Celery task that polls once and is retried later, over Redis.

Set CELERY_BROKER_URL and CELERY_RESULT_BACKEND (rediss://… between machines: tokens pass through Redis) and the
client's WONDER_… variables. Run ``celery -A celery_wait worker --loglevel INFO`` (DEBUG would log the tokens). Your
service calls ``start(token)`` and keeps the id of the result.
"""

import time
from functools import cache

import wonder_payment as wp
from celery import Celery, Task
from celery.result import AsyncResult

TIMEOUT = 600  # seconds for the cardholder
POLL = wp.PollPolicy(interval_max=15.0, growth=0.1)  # slower than the default: nobody watches a page
HIDDEN = "<a token>"  # what logs and monitors show instead of the arguments

app = Celery("celery_wait")  # reads both URLs from the environment
app.conf.update(
    # Delivery at least once: a poll leaves the queue when it is finished. A poll may run twice, which does no harm.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # When a machine dies, Redis delivers its messages again after this many seconds. Choose more than any countdown: a
    # message that waits longer is delivered twice. A message that a worker was just receiving when it died is lost
    # (RabbitMQ does not have this gap): call start() again for a token without a result long after TIMEOUT.
    broker_transport_options={"visibility_timeout": TIMEOUT + 60},
)


@cache
def client() -> wp.WonderClient:
    """Return the one client of this worker process. It does not retry an attempt, because the task does."""
    return wp.WonderClient.from_env(retry=wp.RetryPolicy.never())


@app.task(bind=True, max_retries=None, throws=(wp.WonderError,))
def wait_for_token(self: Task, token: str, began: float) -> dict[str, str | None]:
    """Poll once. Return a final state; retry later after a transient error, unless the time is over; else raise."""
    elapsed = time.time() - began
    try:
        polled = client().check_token(token)
    except wp.WonderError as error:
        problem = error
    else:
        if not polled.is_pending:
            return {"state": str(polled.state), "error": polled.error_code}
        problem = wp.StillPendingError(f"3-D Secure was still pending after {elapsed:.0f} s.", token=polled)
    left = began + TIMEOUT - time.time()
    if not problem.is_transient or left <= 0:
        raise problem
    delay = max(POLL.delay(elapsed), problem.retry_after or 0.0)
    raise self.retry(countdown=min(delay, left), argsrepr=HIDDEN)


def start(token: str) -> AsyncResult:
    """Start to wait. ``get()`` of the result returns a dict, or raises the error: rebuilt from its message alone."""
    return wait_for_token.apply_async((token, time.time()), argsrepr=HIDDEN)
