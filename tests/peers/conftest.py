"""What the tests with servers of other projects share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import TRANSPORTS, Caller, caller_of
from peers.serving import RUNNING, Nginx, nginx_in
from wonder_payment.simulator import SimulatedGateway


@pytest.fixture(params=TRANSPORTS)
def caller(request: pytest.FixtureRequest, gateway: SimulatedGateway) -> Caller:
    return caller_of(request.param, gateway)


@pytest.fixture
def nginx(gateway: SimulatedGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nginx]:
    with nginx_in(tmp_path, gateway) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Show the logs of the running servers with a failure."""
    report = yield
    if report.failed:
        report.sections += [(f"Log of {name}", program.printed) for name, program in RUNNING.items()]
    return report
