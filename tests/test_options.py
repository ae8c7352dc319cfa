"""with_options() and on_attempt: the options of one call, and what is reported of each attempt."""

import asyncio
import logging
from typing import Any

import httpx
import pytest
from conftest import TOKEN, Caller, Clock, Kind, for_both_clients, key
from transports import always, caller, failing, verified
from wonder_payment import (
    AsyncWonderClient,
    AttemptEvent,
    ConfigurationError,
    NetworkError,
    RetryPolicy,
    ServerError,
    WonderClient,
    WonderError,
)
from wonder_payment.simulator import Fault, SimulatedGateway

NEVER = RetryPolicy.never()


def check(client: WonderClient | AsyncWonderClient) -> Any:
    if isinstance(client, WonderClient):
        return client.check_token(TOKEN)
    return asyncio.run(client.check_token(TOKEN))


# with_options


@for_both_clients
def test_options_apply_to_the_new_client_only(kind: Kind, clock: Clock) -> None:
    handler, requests = always(lambda: httpx.Response(503))
    client = caller(kind, handler, language="en").make()
    other = client.with_options(timeout=2.0, retry=NEVER, language="zh-HK")
    for one, count, language in ((other, 1, "zh-HK"), (client, 4, "en")):
        requests.clear()
        with pytest.raises(ServerError):
            check(one)
        assert [request.headers["x-i18n-lang"] for request in requests] == [language] * count
    assert clock.slept


@for_both_clients
def test_the_time_of_an_attempt_is_the_options(kind: Kind) -> None:
    client = caller(kind, always(verified)[0], timeout=10.0).make()
    assert [one._policy.timeout for one in (client.with_options(timeout=2.0), client)] == [2.0, 10.0]  # noqa: SLF001


@for_both_clients
def test_clients_with_other_options_share_the_retry_quota_and_the_end(kind: Kind) -> None:
    retry = RetryPolicy(max_attempts=2, backoff_initial=0.0, quota=10, quota_per_timeout=10, quota_per_retry=10)
    handler, requests = always(lambda: httpx.Response(503))
    client: Any = caller(kind, handler, retry=retry).make()
    for one in (client.with_options(timeout=5.0), client, client.with_options()):
        with pytest.raises(ServerError):
            check(one)
    assert len(requests) == 2 + 1 + 1
    client.with_options().close() if kind is WonderClient else asyncio.run(client.with_options().aclose())
    with pytest.raises(ConfigurationError, match="closed"):
        check(client)


def test_clients_with_other_options_share_connections(gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    with gateway.client() as client:
        pools = {id(client.with_options(timeout=timeout)._pools.here()) for timeout in (1.0, 2.0)}  # noqa: SLF001
        assert client.with_options(timeout=3.0).check_token(token).is_pending
        assert pools == {id(client._pools.here())}  # noqa: SLF001


@for_both_clients
@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"timeout": 0}, "timeout="),
        ({"timeout": "2"}, "timeout="),
        ({"retry": 3}, "retry="),
        ({"language": "de"}, "language="),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_wrong_options_are_rejected_by_name(kind: Kind, options: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}"):
        kind("app", key(), environment="sandbox").with_options(**options)


# on_attempt


@for_both_clients
def test_each_attempt_is_reported_good_or_bad(kind: Kind, clock: Clock) -> None:
    responses = iter([httpx.Response(503), httpx.Response(200), httpx.Response(404)])
    events = list[AttemptEvent]()
    handler, requests = always(lambda: next(responses))
    with pytest.raises(WonderError):
        caller(kind, handler, on_attempt=events.append).check(retry=RetryPolicy())
    assert [(event.number, event.status, type(event.error).__name__) for event in events] == [
        (1, 503, "ServerError"),
        (2, 200, "InvalidResponseError"),
    ]
    assert [event.request_id for event in events] == [request.headers["X-Request-ID"] for request in requests]
    assert all(event.seconds >= 0 for event in events)
    assert len(clock.slept) == 1


@for_both_clients
def test_a_good_attempt_has_no_error_and_a_lost_one_no_status(kind: Kind) -> None:
    events = list[AttemptEvent]()
    caller(kind, always(verified)[0], on_attempt=events.append).check()
    with pytest.raises(NetworkError):
        caller(kind, failing(httpx.ConnectError("refused")), on_attempt=events.append).check()
    assert [(event.status, type(event.error).__name__) for event in events] == [
        (200, "NoneType"),
        (None, "NetworkError"),
    ]


def test_on_attempt_sees_the_polls_of_a_wait(caller: Caller, gateway: SimulatedGateway) -> None:
    events = list[AttemptEvent]()
    gateway.inject(Fault(status=503, times=1))
    token = gateway.add_token(states=["success"])
    settings = {"on_attempt": events.append, "retry": RetryPolicy(backoff_initial=0.0)}
    assert caller.wait(token, settings=settings).is_verified
    assert [event.status for event in events] == [503, 200]


class CallbackError(Exception):
    pass


@for_both_clients
def test_an_error_of_on_attempt_reaches_the_caller(kind: Kind) -> None:
    def on_attempt(_event: AttemptEvent) -> None:
        raise CallbackError

    with pytest.raises(CallbackError):
        caller(kind, always(verified)[0], on_attempt=on_attempt).check()


@for_both_clients
def test_on_attempt_must_be_a_plain_function(kind: Kind) -> None:
    async def on_attempt(_event: AttemptEvent) -> None:
        pass

    with pytest.raises(ConfigurationError, match=r"^on_attempt= must be a plain function"):
        kind("app", key(), environment="sandbox", on_attempt=on_attempt)


@pytest.mark.usefixtures("clock")
def test_log_records_have_fields(caplog: pytest.LogCaptureFixture) -> None:
    responses = iter([httpx.Response(503), verified()])
    handler, requests = always(lambda: next(responses))
    with caplog.at_level(logging.DEBUG, "wonder_payment"):
        caller(WonderClient, handler).check(retry=RetryPolicy())
    fields = [(vars(record)["attempt"], vars(record)["status"]) for record in caplog.records]
    assert fields == [(1, 503), (1, 503), (2, 200)]
    first, second = (request.headers["X-Request-ID"] for request in requests)
    assert [vars(record)["request_id"] for record in caplog.records] == [first, first, second]
    assert all(vars(record)["elapsed"] >= 0 for record in caplog.records)
