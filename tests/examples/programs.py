"""What the tests of the examples share: programs in the background, and a Redis server."""

import gc
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread
from types import ModuleType
from typing import IO

import pytest
from wonder_payment.simulator import SimulatedGateway

EXAMPLES = Path(__file__).parents[2] / "examples"

# wonder_payment._flow keeps a second for the final poll, too little for a busy machine. These values keep half of a
# wait of ten seconds.
LONG_FINAL_POLL = {"_FINAL_POLL": 5.0, "_FINAL_POLL_SHARE": 0.5}


def load(name: str) -> ModuleType:
    """Return an example as a new module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Program:
    """A program in the background.

    Attributes:
        group: Its process group.
        printed: Its output so far.
    """

    def __init__(self, group: int, output: IO[str]) -> None:
        self.group = group
        self.printed = ""
        self._is_over = False
        self._changed = Condition()
        self.reader = Thread(target=self._read, args=[output])
        self.reader.start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            with self._changed:
                self.printed += line
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Wait, a minute at most, until the program has printed a text this many times."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self.printed.count(text) >= times, 60)
            assert self.printed.count(text) >= times, self.printed


@contextmanager
def running(command: list[str], folder: Path, **environ: str) -> Iterator[Program]:
    """Run a program, and kill its whole process group at the end."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    assert process.stdout
    program = Program(process.pid, process.stdout)
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        program.reader.join()
        process.stdout.close()


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
    """Run a Redis server that writes nothing to the disk, and return its port."""
    if shutil.which("redis-server") is None:
        pytest.fail("The tests marked redis need redis-server on the PATH.")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"bind": "127.0.0.1", "port": str(port), "save": "", "appendonly": "no", "dir": str(folder)}
    options = [option for name, value in settings.items() for option in (f"--{name}", value)]
    with running(["redis-server", *options], folder) as server:
        server.wait_for("Ready to accept connections")
        yield port
        # The garbage collection of Celery's results sends requests to the server.
        gc.collect()


def celery_environ(port: int, gateway: SimulatedGateway) -> dict[str, str]:
    """Return the variables for a Celery example with this simulator and this Redis server."""
    return {
        **gateway.environ,
        "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0",
        "CELERY_RESULT_BACKEND": f"redis://127.0.0.1:{port}/1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(EXAMPLES),
    }
