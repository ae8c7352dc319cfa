"""The pytest plugin: a local simulator as the fixture ``wonder_gateway`` (extra: ``simulator``).

pytest imports every installed plugin. This one is a package of its own, so that it costs nothing until a test uses the
fixture, and breaks nothing if the extra is missing.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wonder_payment.simulator import SimulatedGateway
else:
    SimulatedGateway = Any  # importing the class would load the whole package into every test run

__all__ = ["wonder_gateway"]


@pytest.fixture(scope="session")
def _running_wonder_gateway() -> Iterator[SimulatedGateway]:  # pyright: ignore[reportUnusedFunction]  # pytest's
    try:
        from wonder_payment.simulator import SimulatedGateway as Gateway  # noqa: PLC0415 (only when a test uses it)
    except ModuleNotFoundError as error:
        missing = str(error)
    else:
        with Gateway() as gateway:
            yield gateway
        return
    pytest.fail(
        f"{missing}: the fixture wonder_gateway needs `pip install 'wonder-payment[simulator]'`.", pytrace=False
    )


@pytest.fixture
def wonder_gateway(_running_wonder_gateway: SimulatedGateway) -> SimulatedGateway:
    """Return a local simulator of the gateway, the same one in all tests, reset before each."""
    _running_wonder_gateway.reset()
    return _running_wonder_gateway


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the tests that use the fixture reach the simulator, if pytest-socket restricts them. Called by pytest."""
    is_disabled = config.getoption("--disable-socket", default=False)
    for item in items:
        if "wonder_gateway" not in getattr(item, "fixturenames", ()):
            continue
        marker = item.get_closest_marker("allow_hosts")
        hosts: str | list[str] | None = marker.args[0] if marker else config.getoption("--allow-hosts", default=None)
        if hosts or is_disabled:
            listed = hosts.split(",") if isinstance(hosts, str) else hosts or []
            item.add_marker(pytest.mark.allow_hosts([*listed, "127.0.0.1"]), append=False)
