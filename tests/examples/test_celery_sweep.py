"""The example for more than one machine, run for real: a Redis server, two workers, and what collects their results."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from wonder_payment.simulator import SimulatedGateway

EXAMPLE = Path(__file__).parents[2] / "examples" / "celery_sweep.py"
CHUNK, CONCURRENCY = 200, 16  # the example's
TO_DIE, TO_LIVE = "zh-HK", "en"  # each worker asks in a language of its own, and so the gateway can tell them apart

pytestmark = pytest.mark.skipif(
    shutil.which("redis-server") is None or find_spec("celery") is None,
    reason="no redis-server on the PATH, or no celery",
)

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


def wait_until(question: Callable[[], Any]) -> Any:
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + 60
    while not (answer := question()):
        assert time.monotonic() < end, question
        time.sleep(0.02)
    return answer


@contextmanager
def running(command: list[str], log: Path, **environ: str) -> Iterator[int]:
    """The process group of a program, of which nothing is left at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env={**os.environ, **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask_redis(port: int, *commands: str) -> list[str]:
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        connection.makefile("rw", newline="\r\n") as lines,
    ):
        lines.writelines(f"{command}\r\n" for command in commands)
        lines.flush()
        return [lines.readline().strip() for _ in commands]


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """The port of a Redis server that keeps nothing on the disk."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"bind": "127.0.0.1", "port": str(port), "save": "", "appendonly": "no", "dir": str(folder)}
    options = [option for name, value in settings.items() for option in (f"--{name}", value)]

    def answers() -> bool:
        with suppress(OSError):
            return ask_redis(port, "PING") == ["+PONG"]
        return False

    with running(["redis-server", *options], folder / "redis.log"):
        wait_until(answers)
        yield port


def killed_within_a_chunk(group: int, chunks: list[list[str]], asked: Callable[[], list[str]]) -> list[str] | None:
    """Kill a worker if it has more of its chunk before it than it asks for at a time, and return that chunk."""
    os.killpg(group, signal.SIGSTOP)
    so_far = asked()
    chunk = next(chunk for chunk in chunks if so_far[-1] in chunk)
    is_within = len(set(chunk) - set(so_far)) > CONCURRENCY
    os.killpg(group, signal.SIGKILL if is_within else signal.SIGCONT)
    return chunk if is_within else None


def test_when_one_of_two_workers_is_killed_half_way_each_token_is_answered_once(
    gateway: SimulatedGateway, tmp_path: Path
) -> None:
    tokens = [gateway.add_token(states=["success"]) for _ in range(8 * CHUNK)]
    chunks = [tokens[start : start + CHUNK] for start in range(0, len(tokens), CHUNK)]
    (tmp_path / "tokens.txt").write_text("\n".join(tokens))
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    logs = [tmp_path / f"{name}.log" for name in (TO_DIE, TO_LIVE)]
    worker = [sys.executable, "-m", "celery", "--app", "impatient", "worker", "--pool", "prefork", "--concurrency", "1"]

    def asked(language: str) -> list[str]:
        return [request.token or "" for request in gateway.requests if request.language == language]

    with ExitStack() as stack:
        port = stack.enter_context(redis(tmp_path))
        environ = {
            **gateway.environ,
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0",
            "CELERY_RESULT_BACKEND": f"redis://127.0.0.1:{port}/1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(EXAMPLE.parent),
        }
        to_die, _ = [
            stack.enter_context(
                running(
                    [*worker, "--hostname", log.stem, "--loglevel", "INFO"], log, **environ, WONDER_LANGUAGE=log.stem
                )
            )
            for log in logs
        ]
        wait_until(lambda: all(" ready." in log.read_text() for log in logs))
        with (tmp_path / "tokens.txt").open() as source:
            sweep = subprocess.Popen(
                [sys.executable, EXAMPLE],
                env={**os.environ, **environ},
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        stack.enter_context(sweep)
        stack.callback(sweep.kill)

        wait_until(lambda: len(gateway.requests) >= len(tokens) / 2 and asked(TO_DIE))
        lost = wait_until(lambda: killed_within_a_chunk(to_die, chunks, lambda: asked(TO_DIE)))
        output, complaints = sweep.communicate(timeout=60)
        assert (sweep.returncode, complaints) == (0, "")
        # Read before the workers end: no result stays behind.
        assert ask_redis(port, "SELECT 1", "DBSIZE")[1] == ":0"

    outcomes = [json.loads(line) for line in output.splitlines()]
    wanted = [{"token": token, "state": "success", "error": None} for token in tokens]
    assert sorted(outcomes, key=lambda outcome: outcome["token"]) == sorted(wanted, key=lambda one: one["token"])
    assert set(lost) & set(asked(TO_DIE))
    assert set(lost) <= set(asked(TO_LIVE))
    told = "".join(log.read_text() for log in logs)
    assert not [token for token in tokens if token in told]
