"""Makes the fault of a row, calls a client, and returns what that leads to."""

import asyncio
import logging
import os
import socket
import stat
import time
from contextlib import suppress
from typing import Any

import attrs
from conftest import Caller
from faults.making import Lab
from faults.matrix import RETRY, Row
from faults.servers import VERIFIED
from wonder_payment import PaymentToken, RetryPolicy
from wonder_payment.simulator import SimulatedGateway


class Attempts(logging.Handler):
    """Counts the attempts by the line that the library logs for each, and fixes the fault after the first."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(logging.DEBUG)
        self.made = 0
        self._lab = lab

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.DEBUG:
            self.made += 1
            if self.made == 1 and self._lab.fix:
                self._lab.fix()


@attrs.frozen
class Outcome:
    """What a call led to.

    Attributes:
        result: What was returned or raised.
        attempts: How many attempts were made.
        seconds: How long it took.
        left_open: How many sockets the client left open.
    """

    result: PaymentToken | Exception
    attempts: int
    seconds: float
    left_open: int


def observe(
    row: Row,
    caller: Caller,
    gateway: SimulatedGateway,
    method: str,
    *,
    timeout: float,
    is_once: bool = False,
    retry: RetryPolicy = RETRY,
    options: dict[str, Any] | None = None,
) -> Outcome:
    """Make the fault, call a client's method, close the client, and return what it led to.

    Args:
        row: The fault.
        caller: Which of the clients.
        gateway: The simulator.
        method: ``check_token`` or ``wait_for_token``.
        timeout: The client's, for one attempt.
        is_once: Whether the fault happens only once.
        retry: The client's, for ``check_token``.
        options: The method's own.
    """
    if method == "wait_for_token":
        retry = RetryPolicy.never()  # each poll is one attempt: the wait itself must go on
    lab = Lab(gateway, is_once, timeout)
    attempts = Attempts(lab)
    logger = logging.getLogger("wonder_payment")
    with row.make(lab) as settings:
        before = client_sockets()
        level = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(attempts)
        try:
            result, seconds = _call(caller, lab, method, {"timeout": timeout, "retry": retry} | settings, options or {})
        finally:
            logger.removeHandler(attempts)
            logger.setLevel(level)
        # The error is still held here, with everything it holds.
        left_open = len(client_sockets() - before)
    return Outcome(result, attempts.made - bool(lab.between), seconds, left_open)


def _call(
    caller: Caller, lab: Lab, method: str, settings: dict[str, Any], options: dict[str, Any]
) -> tuple[PaymentToken | Exception, float]:
    client: Any = caller.make(**settings)

    async def finished(call: Any) -> Any:
        return await call if caller.is_async else call

    async def main() -> tuple[PaymentToken | Exception, float]:
        if lab.between:
            await finished(client.check_token(VERIFIED))
            lab.between()
        began = time.monotonic()
        try:
            result = await finished(getattr(client, method)(VERIFIED, **options))
        except Exception as error:  # noqa: BLE001 (the tests judge which errors are right)
            result = error
        seconds = time.monotonic() - began
        await finished(client.aclose() if caller.is_async else client.close())
        return result, seconds

    return asyncio.run(main())


def client_sockets() -> set[tuple[int, int]]:
    """Return this process's internet sockets, except those of its servers: listening or accepted."""
    found, listening = dict[tuple[int, int], int](), set[int]()
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        # A server's thread may close one at any time.
        with suppress(OSError):
            status = os.fstat(int(name))
            if not stat.S_ISSOCK(status.st_mode):
                continue
            this = socket.socket(fileno=int(name))
            try:
                if this.family in (socket.AF_INET, socket.AF_INET6):
                    port = this.getsockname()[1]
                    found[int(name), status.st_ino] = port
                    if this.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        listening.add(port)
            finally:
                this.detach()
    return {this for this, port in found.items() if port not in listening}
