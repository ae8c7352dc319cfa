"""The pytest plugin: a simulated gateway as the fixture ``wonder_gateway`` (extra: ``simulator``).

A package of its own, because pytest imports every plugin that is installed: this one costs nothing until it is asked
for, and breaks nothing where the extra is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wonder_payment.simulator import SimulatedGateway

__all__ = ["wonder_gateway"]


@pytest.fixture(scope="session")
def _running_wonder_gateway() -> Iterator[SimulatedGateway]:  # pyright: ignore[reportUnusedFunction]  # pytest's
    try:
        from wonder_payment.simulator import SimulatedGateway  # noqa: PLC0415 (not before it is asked for)
    except ModuleNotFoundError as error:
        missing = str(error)
    else:
        with SimulatedGateway() as gateway:
            yield gateway
        return
    pytest.fail(
        f"{missing}: the fixture wonder_gateway needs `pip install 'wonder-payment[simulator]'`.", pytrace=False
    )


@pytest.fixture
def wonder_gateway(_running_wonder_gateway: SimulatedGateway) -> SimulatedGateway:
    """Give a test a local Wonder gateway that checks signatures and plays 3-D Secure, as new."""
    _running_wonder_gateway.reset()
    return _running_wonder_gateway
