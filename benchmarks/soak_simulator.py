"""The simulator of the soak test: it adds faults, and counts the requests and their nonces."""

import itertools
import random
from multiprocessing.connection import Connection

import attrs
from wonder_payment.simulator import Fault, SimulatedGateway

TOKENS = 1_000
FAULT_SHARE = 0.1  # faults for each request
INTERVAL = 0.05  # seconds between two counts of the requests
HTML = {"Content-Type": "text/html"}
FAULTS = (
    Fault(status=429, headers={"Retry-After": "0"}),
    Fault(status=500),
    Fault(status=502, headers=HTML),
    Fault(status=520, headers=HTML),
    Fault(broken="reset before"),
    Fault(broken="reset in the middle"),
    Fault(broken="truncated"),
    Fault(body='{"code": 0, "data": {"payment_token": {'),
    Fault(body=b" " * 2 * 1024 * 1024),
    Fault(delay=0.02),
)


def card(number: int) -> dict[str, str | None]:
    """Return the card of a token: its last four digits and its holder occur once."""
    brand = ("visa", "mastercard", "amex")[number % 3]
    return {"number": f"411111******{number:04}", "holder_name": f"HOLDER {number}", "brand": brand}


def state(number: int) -> str:
    """Return the state of a token."""
    return ("success", "failed", "pending")[number % 3]


@attrs.frozen
class Report:
    """What the simulator counted."""

    requests: int
    faults: int
    nonces: int
    repeated: int


def serve(pipe: Connection) -> None:
    """Run the simulator in a process of its own until the parent wants the report."""
    requests, faults, repeated, nonces = 0, 0, 0, set[str]()
    with SimulatedGateway() as simulator:
        tokens = [simulator.add_token(states=[state(number)], card=card(number)) for number in range(TOKENS)]
        pipe.send((simulator.environ, tokens))
        mix = itertools.cycle(FAULTS)
        stopped = False
        while not stopped:
            stopped = pipe.poll(INTERVAL)
            # The simulator keeps the last 10,000 requests, more than arrive in one interval.
            for request in simulator.requests:
                if request.number > requests:
                    requests = request.number
                    repeated += request.nonce in nonces
                    nonces.add(request.nonce)
            while faults < FAULT_SHARE * requests:
                simulator.inject(next(mix), token=random.choice(tokens))
                faults += 1
    pipe.send(Report(requests, faults, len(nonces), repeated))
