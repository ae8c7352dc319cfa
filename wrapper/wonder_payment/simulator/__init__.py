"""A local simulator of the Wonder gateway that verifies signatures and simulates 3-D Secure (extra: ``simulator``)."""

from .faults import Fault
from .server import SimulatedGateway
from .state import SimulatedRequest
from .tokens import TEST_TOKENS, SimulatedToken, TestToken
from .variant import ECHO_PATHS, TEST_CUSTOMER_UUID, TEST_VERIFY_UUID
from .verification import Rejection, Verdict

__all__ = [
    "ECHO_PATHS",
    "TEST_CUSTOMER_UUID",
    "TEST_TOKENS",
    "TEST_VERIFY_UUID",
    "Fault",
    "Rejection",
    "SimulatedGateway",
    "SimulatedRequest",
    "SimulatedToken",
    "TestToken",
    "Verdict",
]
