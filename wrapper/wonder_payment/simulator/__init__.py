"""A local simulator of the Wonder gateway that verifies signatures and plays 3-D Secure (extra: ``simulator``)."""

from .faults import Fault
from .server import SimulatedGateway
from .state import SimulatedRequest
from .tokens import TEST_TOKENS, SimulatedToken, TestToken
from .verification import Rejection, Verdict

__all__ = [
    "TEST_TOKENS",
    "Fault",
    "Rejection",
    "SimulatedGateway",
    "SimulatedRequest",
    "SimulatedToken",
    "TestToken",
    "Verdict",
]
