"""Lets a test wait for requests to come in at the simulator, without asking it again and again."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from wonder_payment.simulator import SimulatedGateway, SimulatedRequest

AnswerT = TypeVar("AnswerT")


class Arrivals:
    """Answers a question about the requests of a gateway as soon as the answer is true.

    Args:
        gateway: The gateway.
        monkeypatch: Puts the listener in place until the test ends.
    """

    def __init__(self, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self._gateway = gateway
        self._changed = threading.Condition()
        state = gateway._state  # noqa: SLF001 (it has no public listener)
        respond = state.respond

        def respond_and_notify(*request: Any) -> Any:
            answer = respond(*request)
            with self._changed:
                self._changed.notify_all()
            return answer

        monkeypatch.setattr(state, "respond", respond_and_notify)

    def wait_until(self, question: Callable[[list[SimulatedRequest]], AnswerT]) -> AnswerT:
        """Ask now and after each request, for a minute at the most, until the answer is true; return it."""
        with self._changed:
            answer = self._changed.wait_for(lambda: question(self._gateway.requests), 60)
        assert answer, self._gateway.requests
        return answer
