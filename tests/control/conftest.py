"""The control API of the test's simulator."""

from collections.abc import Iterator

import httpx
import pytest
from control.calling import Control
from wonder_payment.simulator import SimulatedGateway


@pytest.fixture
def control(gateway: SimulatedGateway) -> Iterator[Control]:
    with httpx.Client(trust_env=False, timeout=30) as connection:
        yield Control(gateway, connection)
