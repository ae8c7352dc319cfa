"""The task that waits, run for real: a Redis server and workers of one process each."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from arrivals import Arrivals
from examples.programs import Program, celery_environ, load, redis, running
from wonder_payment.simulator import Fault, SimulatedGateway, SimulatedRequest

pytestmark = pytest.mark.redis

# The example as it is, but for its patience.
IMPATIENT = """
import celery_wait
from wonder_payment import PollPolicy

app = celery_wait.app
celery_wait.WITHIN = {within}
celery_wait.POLL = PollPolicy(shortest={pause}, longest={pause}, growth=0.0)
app.conf.broker_transport_options = {{
    "visibility_timeout": 3,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 2,
}}
"""


@attrs.frozen
class Service:
    """The side that starts to wait, and what it can do to its workers."""

    example: ModuleType
    folder: Path
    environ: dict[str, str]

    @contextmanager
    def worker(self, name: str = "worker", *, within: float = 60.0, pause: float = 0.2) -> Iterator[Program]:
        """A worker that is ready."""
        (self.folder / f"impatient_{name}.py").write_text(IMPATIENT.format(within=within, pause=pause))
        command = [sys.executable, "-m", "celery", "--app", f"impatient_{name}", "worker", "--pool", "prefork"]
        options = ["--concurrency", "1", "--loglevel", "INFO", "--hostname", name]
        with running([*command, *options], self.folder, **self.environ) as worker:
            worker.wait_for(" ready.")
            yield worker

    def held(self) -> list[dict[str, Any]]:
        """The headers of the messages that workers hold, as Redis has them."""
        with self.example.app.connection() as connection:
            messages = map(json.loads, connection.default_channel.client.hvals("unacked"))
            return [message["headers"] for message, *_ in messages]


@pytest.fixture
def service(gateway: SimulatedGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with redis(tmp_path) as port:
        environ = celery_environ(port, gateway)
        for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
            monkeypatch.setitem(os.environ, name, environ[name])
        example = load("celery_wait")
        yield Service(example, tmp_path, environ)
        example.app.close()


def polls(requests: list[SimulatedRequest], token: str) -> int:
    return len([request for request in requests if request.token == token])


def test_a_worker_answers_others_while_a_token_is_pending(
    service: Service, gateway: SimulatedGateway, arrivals: Arrivals
) -> None:
    slow, quick = gateway.add_token(), gateway.add_token(states=["failed"], error_code="E1")
    with service.worker() as worker:
        waiting = service.example.start(slow)
        arrivals.wait_until(lambda requests: polls(requests, slow) >= 2)
        assert service.example.start(quick).get(timeout=30) == {"state": "failed", "error": "E1"}
        assert not waiting.ready()
        gateway.approve(slow)
        assert waiting.get(timeout=30) == {"state": "success", "error": None}
    assert "Retry in" in worker.printed
    assert slow not in worker.printed
    assert quick not in worker.printed


@pytest.mark.parametrize("killed", ["within a poll", "between two polls"])
def test_a_wait_outlives_its_worker(
    service: Service, gateway: SimulatedGateway, arrivals: Arrivals, killed: str
) -> None:
    token = gateway.add_token()
    if killed == "within a poll":
        gateway.inject(Fault(delay=60.0), token=token)
    with service.worker("first", pause=5.0) as worker:
        waiting = service.example.start(token)
        arrivals.wait_until(lambda requests: polls(requests, token))
        if killed == "between two polls":
            worker.wait_for(" received", times=2)
            assert [bool(headers["eta"]) for headers in service.held()] == [True]
        os.killpg(worker.group, signal.SIGKILL)
    gateway.approve(token)
    with service.worker("second"):
        assert waiting.get(timeout=60) == {"state": "success", "error": None}


def test_a_monitor_is_not_shown_the_token(service: Service, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    with service.worker(pause=5.0) as worker:
        service.example.start(token)
        worker.wait_for(" received", times=2)
        assert [headers["argsrepr"] for headers in service.held()] == ["<a token>"]


def test_what_may_pass_is_tried_again_and_a_refusal_is_the_end(service: Service, gateway: SimulatedGateway) -> None:
    limited, broken, refused = (gateway.add_token(states=["success"]) for _ in range(3))
    gateway.inject(Fault(status=429, headers={"Retry-After": "1"}), token=limited)
    gateway.inject(Fault(broken="reset before"), token=broken)
    gateway.inject(Fault(status=502), token=broken)
    gateway.inject(Fault(status=403), token=refused)
    with service.worker():
        one, two, three = (service.example.start(token) for token in (limited, broken, refused))
        assert [result.get(timeout=30)["state"] for result in (one, two, three)] == ["success", "success", None]
    assert three.get()["error"].startswith("AuthenticationError: ")
    assert [polls(gateway.requests, token) for token in (limited, broken, refused)] == [2, 3, 1]
    first, second = (request.time for request in gateway.requests if request.token == limited)
    assert second - first >= 1.0


def test_when_the_time_is_over_the_result_is_what_was_seen_last(service: Service, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    with service.worker(within=5.0):
        waiting = service.example.start(token)
        assert waiting.get(timeout=30) == {"state": "pending", "error": None}
    assert 2 <= polls(gateway.requests, token) <= 27
