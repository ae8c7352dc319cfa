"""A simulator for each module, whose requests no other module sends."""

from collections.abc import Iterator

import pytest
from wonder_payment.simulator import SimulatedGateway


@pytest.fixture(scope="module")
def gateway() -> Iterator[SimulatedGateway]:
    with SimulatedGateway() as gateway:
        yield gateway
