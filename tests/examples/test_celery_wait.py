"""The Celery task that waits, on a Redis server with workers of one process each."""

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
from wonder_payment import AuthenticationError, StillPendingError
from wonder_payment.simulator import Fault, SimulatedGateway, SimulatedRequest

pytestmark = pytest.mark.redis

# The example with shorter times.
IMPATIENT = """
import celery_wait
from wonder_payment import PollPolicy

app = celery_wait.app
celery_wait.TIMEOUT = {timeout}
celery_wait.POLL = PollPolicy(interval_initial={interval}, interval_max={interval}, growth=0.0)
app.conf.broker_transport_options = {{
    "visibility_timeout": 3,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 2,
}}
"""


@attrs.frozen
class Service:
    """The service that starts to wait, and its workers."""

    example: ModuleType
    folder: Path
    environ: dict[str, str]

    @contextmanager
    def worker(self, name: str = "worker", *, timeout: float = 60.0, interval: float = 0.2) -> Iterator[Program]:
        """Run a worker, which is ready."""
        (self.folder / f"impatient_{name}.py").write_text(IMPATIENT.format(timeout=timeout, interval=interval))
        command = [sys.executable, "-m", "celery", "--app", f"impatient_{name}", "worker", "--pool", "prefork"]
        options = ["--concurrency", "1", "--loglevel", "INFO", "--hostname", name]
        with running([*command, *options], self.folder, **self.environ) as worker:
            worker.wait_for(" ready.")
            yield worker

    def reserved(self) -> list[dict[str, Any]]:
        """Return the headers of the messages that workers have reserved, as Redis has them."""
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


def test_a_pending_token_does_not_block_its_worker(
    service: Service, gateway: SimulatedGateway, arrivals: Arrivals
) -> None:
    slow, fast = gateway.add_token(), gateway.add_token(states=["failed"], error_code="E1")
    with service.worker() as worker:
        waiting = service.example.start(slow)
        arrivals.wait_until(lambda requests: polls(requests, slow) >= 2)
        assert service.example.start(fast).get(timeout=30) == {"state": "failed", "error": "E1"}
        assert not waiting.ready()
        gateway.approve(slow)
        assert waiting.get(timeout=30) == {"state": "success", "error": None}
    assert "Retry in" in worker.printed
    assert slow not in worker.printed
    assert fast not in worker.printed


@pytest.mark.parametrize("killed", ["within a poll", "between two polls"])
def test_a_wait_survives_its_worker(
    service: Service, gateway: SimulatedGateway, arrivals: Arrivals, killed: str
) -> None:
    token = gateway.add_token()
    if killed == "within a poll":
        gateway.inject(Fault(delay=60.0), token=token)
    with service.worker("first", interval=5.0) as worker:
        waiting = service.example.start(token)
        arrivals.wait_until(lambda requests: polls(requests, token))
        if killed == "between two polls":
            worker.wait_for(" received", times=2)
            assert [bool(headers["eta"]) for headers in service.reserved()] == [True]
        os.killpg(worker.group, signal.SIGKILL)
    gateway.approve(token)
    with service.worker("second"):
        assert waiting.get(timeout=60) == {"state": "success", "error": None}


def test_a_monitor_does_not_see_the_token(service: Service, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    with service.worker(interval=5.0) as worker:
        service.example.start(token)
        worker.wait_for(" received", times=2)
        assert [headers["argsrepr"] for headers in service.reserved()] == ["<a token>"]


def test_a_transient_error_is_retried_and_a_permanent_error_ends_the_wait(
    service: Service, gateway: SimulatedGateway
) -> None:
    limited, broken, rejected = (gateway.add_token(states=["success"]) for _ in range(3))
    gateway.inject(Fault(status=429, headers={"Retry-After": "1"}), token=limited)
    gateway.inject(Fault(broken="reset before"), token=broken)
    gateway.inject(Fault(status=502), token=broken)
    gateway.inject(Fault(status=403), token=rejected)
    with service.worker():
        one, two, three = (service.example.start(token) for token in (limited, broken, rejected))
        assert [result.get(timeout=30)["state"] for result in (one, two)] == ["success", "success"]
        # Celery rebuilds the error from its message.
        with pytest.raises(AuthenticationError, match=r"HTTP 403, .*\. Check the app id") as caught:
            three.get(timeout=30)
    assert (caught.value.is_transient, caught.value.status_code, caught.value.attempts) == (False, None, None)
    assert [polls(gateway.requests, token) for token in (limited, broken, rejected)] == [2, 3, 1]
    first, second = (request.time for request in gateway.requests if request.token == limited)
    assert second - first >= 1.0


def test_a_timeout_is_a_transient_error(service: Service, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    with service.worker(timeout=5.0):
        waiting = service.example.start(token)
        with pytest.raises(StillPendingError, match=r"^3-D Secure was still pending after \d+ s\.$") as caught:
            waiting.get(timeout=30)
    assert caught.value.is_transient
    assert 2 <= polls(gateway.requests, token) <= 27
