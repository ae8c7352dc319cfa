"""The example for more than one machine, run for real: a Redis server, two workers, and what collects their results."""

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

CHUNK, CONCURRENCY = 200, 16  # the example's
TO_DIE, TO_LIVE = "zh-HK", "en"  # each worker asks in a language of its own, and so the gateway can tell them apart

# The example as it is, but for how soon a dead worker's chunk is handed out again.
IMPATIENT = """
from celery_sweep import app

app.conf.broker_transport_options = {
    "visibility_timeout": 6,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 2,
}
"""


def asked(requests: list[SimulatedRequest], language: str) -> list[str]:
    return [request.token or "" for request in requests if request.language == language]


def killed_within_a_chunk(group: int, chunks: list[list[str]], gateway: SimulatedGateway) -> list[str] | None:
    """Kill a worker if it has more of its chunk before it than it asks for at a time, and return that chunk."""
    os.killpg(group, signal.SIGSTOP)
    so_far = asked(gateway.requests, TO_DIE)
    chunk = next(chunk for chunk in chunks if so_far[-1] in chunk)
    is_within = len(set(chunk) - set(so_far)) > CONCURRENCY
    os.killpg(group, signal.SIGKILL if is_within else signal.SIGCONT)
    return chunk if is_within else None


@pytest.mark.redis
def test_when_one_of_two_workers_is_killed_half_way_each_token_is_answered_once(
    gateway: SimulatedGateway, arrivals: Arrivals, tmp_path: Path
) -> None:
    tokens = [gateway.add_token(states=["success"]) for _ in range(8 * CHUNK)]
    chunks = [tokens[start : start + CHUNK] for start in range(0, len(tokens), CHUNK)]
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
            for name in (TO_DIE, TO_LIVE)
        ]
        for one in workers:
            one.wait_for(" ready.")
        with (tmp_path / "tokens.txt").open() as source:
            sweep = subprocess.Popen(
                [sys.executable, EXAMPLES / "celery_sweep.py"],
                env={**os.environ, **environ},
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        stack.enter_context(sweep)
        stack.callback(sweep.kill)

        arrivals.wait_until(lambda requests: len(requests) >= len(tokens) / 2 and asked(requests, TO_DIE))
        lost = arrivals.wait_until(lambda _requests: killed_within_a_chunk(workers[0].group, chunks, gateway))
        output, complaints = sweep.communicate(timeout=60)
        assert (sweep.returncode, complaints) == (0, "")
        # Read before the workers end: no result stays behind.
        assert ask_redis(port, "SELECT 1", "DBSIZE")[1] == ":0"

    outcomes = [json.loads(line) for line in output.splitlines()]
    wanted = [{"token": token, "state": "success", "error": None} for token in tokens]
    assert sorted(outcomes, key=lambda outcome: outcome["token"]) == sorted(wanted, key=lambda one: one["token"])
    assert lost
    assert set(lost) & set(asked(gateway.requests, TO_DIE))
    assert set(lost) <= set(asked(gateway.requests, TO_LIVE))
    logs = "".join(one.printed for one in workers)
    assert not [token for token in tokens if token in logs]
