"""The Celery batch on a Redis server with two workers, one of which is killed."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from arrivals import Arrivals
from examples.programs import EXAMPLES, ask_redis, celery_environ, redis, running
from wonder_payment.simulator import SimulatedGateway, SimulatedRequest

CHUNK_SIZE, CONCURRENCY = 200, 16  # as in the example
KILLED, SURVIVOR = "zh-HK", "en"  # each worker has its own language, which identifies its requests

# The example, except that the chunk of a dead worker is delivered again sooner.
IMPATIENT = """
from celery_batch import app

app.conf.broker_transport_options = {
    "visibility_timeout": 15,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 2,
}
"""


def checked(requests: list[SimulatedRequest], language: str) -> list[str]:
    return [request.token or "" for request in requests if request.language == language]


def kill_within_a_chunk(group: int, chunks: list[list[str]], gateway: SimulatedGateway) -> list[str] | None:
    """Kill a worker if more of its chunk is left than it checks at a time, and return that chunk."""
    os.killpg(group, signal.SIGSTOP)
    so_far = checked(gateway.requests, KILLED)
    chunk = next(chunk for chunk in chunks if so_far[-1] in chunk)
    is_within = len(set(chunk) - set(so_far)) > CONCURRENCY
    os.killpg(group, signal.SIGKILL if is_within else signal.SIGCONT)
    return chunk if is_within else None


@pytest.mark.redis
def test_each_token_has_one_result_although_one_of_two_workers_is_killed(
    gateway: SimulatedGateway, arrivals: Arrivals, tmp_path: Path
) -> None:
    tokens = [gateway.add_token(states=["success"]) for _ in range(8 * CHUNK_SIZE)]
    chunks = [tokens[start : start + CHUNK_SIZE] for start in range(0, len(tokens), CHUNK_SIZE)]
    (tmp_path / "tokens.txt").write_text("\n".join(tokens))
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    worker = [sys.executable, "-m", "celery", "--app", "impatient", "worker", "--pool", "prefork", "--concurrency", "1"]

    with ExitStack() as stack:
        port = stack.enter_context(redis(tmp_path))
        environ = celery_environ(port, gateway)
        workers = [
            stack.enter_context(
                running([*worker, "--hostname", name, "--loglevel", "INFO"], tmp_path, **environ, WONDER_LANGUAGE=name)
            )
            for name in (KILLED, SURVIVOR)
        ]
        for one in workers:
            one.wait_for(" ready.")
        with (tmp_path / "tokens.txt").open() as source:
            batch = subprocess.Popen(
                [sys.executable, EXAMPLES / "celery_batch.py"],
                env={**os.environ, **environ},
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        stack.enter_context(batch)
        stack.callback(batch.kill)

        arrivals.wait_until(lambda requests: len(requests) >= len(tokens) / 2 and checked(requests, KILLED))
        lost = arrivals.wait_until(lambda _requests: kill_within_a_chunk(workers[0].group, chunks, gateway))
        output, errors = batch.communicate(timeout=120)
        assert (batch.returncode, errors) == (0, "")
        # While the workers still run: no result is left in Redis.
        assert ask_redis(port, "SELECT 1", "DBSIZE")[1] == ":0"

    results = sorted(map(json.loads, output.splitlines()), key=lambda row: row["token"])
    assert results == [{"token": token, "state": "success", "error": None} for token in sorted(tokens)]
    assert lost
    assert set(lost) & set(checked(gateway.requests, KILLED))
    assert set(lost) <= set(checked(gateway.requests, SURVIVOR))
    logs = "".join(one.printed for one in workers)
    assert not [token for token in tokens if token in logs]
