"""Check more tokens than one machine can: chunks of them as Celery tasks, over Redis.

Set CELERY_BROKER_URL and CELERY_RESULT_BACKEND (redis://…, but rediss://… between machines: tokens pass through it),
and the client's own WONDER_… variables. On each worker's machine, and then where the tokens are, one a line::

    celery -A celery_sweep worker --pool prefork --concurrency 4 --loglevel WARNING
    python celery_sweep.py < tokens.txt > outcomes.jsonl
"""

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import islice

import celery.exceptions
import celery.result
from wonder_payment import WonderClient

Row = dict[str, str | None]

app = celery.Celery("celery_sweep")  # which takes the two addresses from the environment
app.conf.update(
    # At least once: a chunk leaves the queue when it is done, and goes back when its process dies. One that is run
    # twice does no harm: a check changes nothing at the gateway, and a task has one result, under its id.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,  # a worker takes no chunk that it can't begin
    # When a whole worker or its machine dies, Redis hands its chunks out again after so many seconds. Longer than the
    # longest chunk, with its pauses for a rate limit: one that takes longer is handed out while it still runs.
    broker_transport_options={"visibility_timeout": 900},
    result_expires=24 * 3600,  # what nobody fetched; sweep() deletes what it has read
)


@cache
def client() -> WonderClient:
    """Return the one client of this worker process, made at its first chunk."""
    return WonderClient.from_env()


# check_tokens() sleeps a 429 out, but only its own: workers do not hear of each other's. To keep all of them below a
# limit, add rate_limit="N/m", N being requests a minute / tokens in a chunk / `celery worker`s running.
@app.task(resultrepr_maxsize=1)  # logs and monitors show the beginning of a result: tokens
def check_chunk(tokens: list[str]) -> list[Row]:
    """Return what became of each token, as JSON has it."""
    return [
        {
            "token": outcome.token_id,
            "state": str(outcome.token.state) if outcome.token else None,
            "error": f"{type(outcome.error).__name__}: {outcome.error}" if outcome.error else None,
        }
        for outcome in client().check_tokens(tokens, concurrency=16)
    ]


def sweep(tokens: Iterable[str], *, chunk: int = 200, ahead: int = 100) -> Iterator[Row]:
    """Yield the outcomes as their chunks come back. However many tokens: ``ahead`` chunks are on their way."""
    source = iter(tokens)
    chunks = iter(lambda: list(islice(source, chunk)), [])
    running: dict[celery.result.AsyncResult, None] = {}
    finished: deque[celery.result.AsyncResult] = deque()
    try:
        while True:
            for some in islice(chunks, ahead - len(running)):
                result = check_chunk.apply_async((some,), argsrepr=f"<{len(some)} tokens>")
                result.then(finished.append)
                running[result] = None
            if not running:
                return
            with suppress(celery.exceptions.TimeoutError):
                # Waiting for the oldest takes in what comes for the others, too.
                next(iter(running)).get(timeout=1, propagate=False)
            while finished:
                result = finished.popleft()
                del running[result]
                yield from result.get()  # raises what a chunk raised: wrong settings of a worker
                result.forget()
    finally:
        if running:  # stopped early
            app.control.revoke([result.id for result in running])
            for result in running:
                result.forget()


if __name__ == "__main__":
    for row in sweep(filter(None, map(str.strip, sys.stdin))):
        print(json.dumps(row))
