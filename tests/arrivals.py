"""Lets a test wait until certain requests have arrived at the simulator, without polling."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from wonder_payment.simulator import SimulatedGateway, SimulatedRequest

_T = TypeVar("_T")


class Arrivals:
    """Evaluates a condition on the simulator's requests after each request.

    Args:
        gateway: The simulator.
        monkeypatch: Installs the callback until the test ends.
    """

    def __init__(self, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self._gateway = gateway
        self._changed = threading.Condition()
        state = gateway._state  # noqa: SLF001 (it has no public callback)
        respond = state.respond

        def respond_and_notify(*request: Any) -> Any:
            response = respond(*request)
            with self._changed:
                self._changed.notify_all()
            return response

        monkeypatch.setattr(state, "respond", respond_and_notify)

    def wait_until(self, condition: Callable[[list[SimulatedRequest]], _T]) -> _T:
        """Wait, a minute at most, until ``condition`` is true of the requests; return its value."""
        with self._changed:
            value = self._changed.wait_for(lambda: condition(self._gateway.requests), 60)
        assert value, self._gateway.requests
        return value
