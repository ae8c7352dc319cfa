"""What the tests of the examples share: programs that run beside them, and a Redis server."""

import gc
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from wonder_payment.simulator import SimulatedGateway

EXAMPLES = Path(__file__).parents[2] / "examples"

needs_celery = pytest.mark.skipif(
    shutil.which("redis-server") is None or importlib.util.find_spec("celery") is None,
    reason="no redis-server on the PATH, or no celery",
)


def load(name: str) -> ModuleType:
    """An example as a module, as new."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
        # Celery's results talk to the server when they are collected.
        gc.collect()


def celery_environ(port: int, gateway: SimulatedGateway) -> dict[str, str]:
    """The variables of an example that asks this gateway and talks through this Redis server."""
    return {
        **gateway.environ,
        "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0",
        "CELERY_RESULT_BACKEND": f"redis://127.0.0.1:{port}/1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(EXAMPLES),
    }
