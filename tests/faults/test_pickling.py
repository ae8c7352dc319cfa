"""What can be pickled and copied: settings, results and errors, but no client."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Caller, Kind, for_both_clients, key
from wonder_payment import (
    Card,
    CheckResult,
    NetworkError,
    NotFoundError,
    PaymentToken,
    PollPolicy,
    RetryPolicy,
    ServerError,
    StillPendingError,
    WonderError,
)
from wonder_payment.simulator import Fault, SimulatedGateway

WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol))  # noqa: S301
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@for_both_clients
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_client_cannot_be_copied_and_its_error_says_what_to_do(kind: Kind, way: Callable[[Any], Any]) -> None:
    client = kind("app", key(), environment="sandbox")
    with pytest.raises(TypeError, match=rf"{kind.__name__} cannot be pickled.*process.*from_env"):
        way(client)


@pytest.mark.parametrize(
    "thing",
    [
        RetryPolicy(max_attempts=7, max_elapsed=60.0, backoff_initial=0.1, backoff_max=2.0, jitter=0.5),
        PollPolicy(interval_initial=0.1, interval_max=9.0, growth=0.0, jitter=0.0),
        Card(number="411111******1111", exp_month="12", exp_year="30", holder_name="SAM SAMPLE", brand="visa"),
        PaymentToken(token="t", token_type="new", state="new", is_default=False, card=Card(), extra={"a": [1, {}]}),
        CheckResult(token_id="t", error=ServerError("What happened.", status_code=500)),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_objects_come_back_equal_from_another_process(thing: object) -> None:
    for way in WAYS.values():
        twin = way(thing)
        assert type(twin) is type(thing)
        assert repr(twin) == repr(thing)
        assert twin == thing or isinstance(thing, CheckResult)  # errors have no equality


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=404), NotFoundError),
        (Fault(status=503), ServerError),
        (Fault(broken="reset before"), NetworkError),
        (None, StillPendingError),
    ],
    ids=["404", "503", "reset before", "still pending"],
)
@pytest.mark.usefixtures("clock")
def test_errors_come_back_from_another_process_with_all_their_attributes(
    caller: Caller, gateway: SimulatedGateway, fault: Fault | None, kind: type[WonderError]
) -> None:
    if fault:
        gateway.inject(fault)
    token = gateway.add_token()
    with pytest.raises(kind) as caught:
        caller.check(token) if fault else caller.wait(token, timeout=30.0)
    for way in WAYS.values():
        twin = way(caught.value)
        assert type(twin) is kind
        assert (str(twin), vars(twin)) == (str(caught.value), vars(caught.value))
