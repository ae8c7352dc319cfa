"""A local Wonder gateway to try things on: it checks signatures and plays 3-D Secure (extra: ``simulator``)."""

from .app import SimulatedRequest
from .faults import Fault
from .server import SimulatedGateway
from .tokens import WELL_KNOWN, SimulatedToken, WellKnown
from .verification import Refusal, Verdict

__all__ = [
    "WELL_KNOWN",
    "Fault",
    "Refusal",
    "SimulatedGateway",
    "SimulatedRequest",
    "SimulatedToken",
    "Verdict",
    "WellKnown",
]
