"""Check more tokens than one machine can: a Celery task for each chunk of tokens, over Redis.

Set CELERY_BROKER_URL and CELERY_RESULT_BACKEND (redis://…; between machines use rediss://…, because tokens pass through
Redis) and the client's WONDER_… variables. Start a worker on each machine, then the program that has the tokens, one
per line::

    celery -A celery_batch worker --pool prefork --concurrency 4 --loglevel WARNING
    python celery_batch.py < tokens.txt > results.jsonl
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

app = celery.Celery("celery_batch")  # reads both URLs from the environment
app.conf.update(
    # Delivery at least once: a chunk leaves the queue when it is finished, and returns to it when its process dies. A
    # chunk may run twice, which does no harm: a check changes nothing at the gateway, and a task has one result.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,  # a worker reserves no chunk that it cannot start
    # When a worker or its machine dies, Redis delivers its chunks again after this many seconds. Choose more than the
    # longest chunk takes, with its pauses for a rate limit: a chunk that takes longer is delivered while it still runs.
    broker_transport_options={"visibility_timeout": 900},
    result_expires=24 * 3600,  # for results that nobody read; check_all() deletes those it has read
)


@cache
def client() -> WonderClient:
    """Return the one client of this worker process, made for its first chunk."""
    return WonderClient.from_env()


# check_tokens() pauses for a 429, but workers do not share their rate limits. To keep all of them below a limit, add
# rate_limit="N/m": N = requests per minute / tokens per chunk / number of `celery worker`s.
@app.task(resultrepr_maxsize=1)  # logs and monitors would show the beginning of a result: tokens
def check_chunk(tokens: list[str]) -> list[Row]:
    """Return the result of each token, ready for JSON."""
    return [
        {
            "token": result.token_id,
            "state": str(result.token.state) if result.token else None,
            "error": f"{type(result.error).__name__}: {result.error}" if result.error else None,
        }
        for result in client().check_tokens(tokens, concurrency=16)
    ]


def check_all(tokens: Iterable[str], *, chunk_size: int = 200, max_in_flight: int = 100) -> Iterator[Row]:
    """Yield the results as their chunks finish. At most ``max_in_flight`` chunks are in Redis at a time."""
    source = iter(tokens)
    chunks = iter(lambda: list(islice(source, chunk_size)), [])
    in_flight: dict[celery.result.AsyncResult, None] = {}
    finished: deque[celery.result.AsyncResult] = deque()
    try:
        while True:
            for chunk in islice(chunks, max_in_flight - len(in_flight)):
                result = check_chunk.apply_async((chunk,), argsrepr=f"<{len(chunk)} tokens>")
                result.then(finished.append)
                in_flight[result] = None
            if not in_flight:
                return
            with suppress(celery.exceptions.TimeoutError):
                # Waiting for the oldest chunk also receives the results of the others.
                next(iter(in_flight)).get(timeout=1, propagate=False)
            while finished:
                result = finished.popleft()
                del in_flight[result]
                yield from result.get()  # raises the error of a chunk: a worker's settings are wrong
                result.forget()
    finally:
        if in_flight:  # the caller stopped early
            app.control.revoke([result.id for result in in_flight])
            for result in in_flight:
                result.forget()


if __name__ == "__main__":
    for row in check_all(filter(None, map(str.strip, sys.stdin))):
        print(json.dumps(row))
