"""Observability: traces, log records, and the callback for metrics."""

import asyncio
import contextlib
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Caller, Clock
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from wonder_payment import (
    NetworkError,
    NotFoundError,
    PollPolicy,
    RateLimitError,
    RetryPolicy,
    ServerError,
    StillPendingError,
    WonderError,
)
from wonder_payment.signing import sign
from wonder_payment.simulator import TEST_TOKENS, Fault, SimulatedGateway

TWICE = RetryPolicy(max_attempts=2, backoff_initial=0.0)
STEADY = RetryPolicy(jitter=0.0)


# Traces


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.shutdown()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    HTTPXClientInstrumentor().instrument(tracer_provider=provider)
    yield provider
    HTTPXClientInstrumentor().uninstrument()
    provider.shutdown()


def traced(
    caller: Caller, provider: TracerProvider, exporter: InMemorySpanExporter, token: str, **settings: Any
) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """Check a token within a span of the caller; return that span and the others, oldest first."""
    with provider.get_tracer("service").start_as_current_span("checkout"), contextlib.suppress(WonderError):
        caller.check(token, **settings)
    *attempts, checkout = exporter.get_finished_spans()
    assert checkout.name == "checkout"
    return checkout, attempts


def test_each_attempt_is_a_span_of_the_callers_trace(
    caller: Caller, gateway: SimulatedGateway, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    gateway.inject(Fault(status=503))
    checkout, attempts = traced(caller, provider, exporter, gateway.add_token(), retry=TWICE)
    assert len(attempts) == len(gateway.requests) == 2
    for attempt in attempts:
        assert checkout.context
        assert attempt.context
        assert attempt.parent
        assert attempt.kind is SpanKind.CLIENT
        assert attempt.context.trace_id == checkout.context.trace_id
        assert attempt.parent.span_id == checkout.context.span_id
    assert [attempt.status.status_code for attempt in attempts] == [StatusCode.ERROR, StatusCode.UNSET]


def test_concurrent_calls_are_each_in_the_trace_of_their_caller(
    gateway: SimulatedGateway, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tokens = [gateway.add_token() for _ in range(5)]
    tracer = provider.get_tracer("service")

    async def main() -> None:
        async with gateway.async_client() as wonder:

            async def checkout(token: str) -> None:
                with tracer.start_as_current_span("checkout"):
                    await wonder.check_token(token)

            await asyncio.gather(*map(checkout, tokens))

    asyncio.run(main())
    spans = exporter.get_finished_spans()
    callers = {span.context.span_id for span in spans if span.context and span.name == "checkout"}
    parents = [span.parent.span_id for span in spans if span.parent]
    assert len(callers) == 5
    assert sorted(parents) == sorted(callers)


def test_an_attempt_without_a_response_is_a_span_with_an_error(
    caller: Caller, gateway: SimulatedGateway, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    gateway.inject(Fault(broken="reset before"))
    _, attempts = traced(caller, provider, exporter, gateway.add_token())
    assert [attempt.status.status_code for attempt in attempts] == [StatusCode.ERROR]


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault(status=404, body='{"code": "E1", "message": "no token TOKEN, card 4539148803436467"}'),
        Fault(body='{"code": 0, "number": "4539148803436467", "token": "TOKEN"}'),
        Fault(status=302, headers={"Location": "https://elsewhere.example/4539148803436467"}),
        Fault(broken="reset in the middle"),
        Fault(broken="truncated"),
    ],
    ids=["a token", "404", "no token", "a redirect", "reset in the middle", "truncated"],
)
def test_no_span_has_a_secret(
    caller: Caller,
    gateway: SimulatedGateway,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    fault: Fault | None,
) -> None:
    token = gateway.add_token(states=["success"], card={"number": "4539148803436467", "holder_name": "ZERLINDE QUUX"})
    if fault:
        gateway.inject(fault)
    _, attempts = traced(caller, provider, exporter, token)
    shown = "".join(span.to_json() for span in attempts).lower()
    signatures = [sign(gateway.private_key, str(request.verdict.string_to_sign)) for request in gateway.requests]
    secrets = [token, token.replace("-", ""), "4539148803436467", "zerlinde", "quux", *signatures]
    assert [secret for secret in secrets if secret.lower() in shown] == []
    assert gateway.base_url in shown


# Log records

LOGGING_STATE = """
import logging, sys, warnings

def state():
    root = logging.getLogger()
    return (
        list(root.handlers), root.level, list(root.filters), root.disabled, root.manager.disable,
        logging.getLogRecordFactory(), logging.getLoggerClass(), logging.lastResort, logging.raiseExceptions,
        logging.getLevelName(10), logging.getLevelName(30), sys.excepthook, sys.stderr, warnings.showwarning,
    )

before = state()
import wonder_payment, wonder_payment.cli, wonder_payment.simulator, wonder_payment_pytest
wonder_payment.WonderClient("app", {key!r}, environment="sandbox").close()
assert state() == before, state()
for name, logger in logging.root.manager.loggerDict.items():
    if name.startswith("wonder") and isinstance(logger, logging.Logger):
        kinds = [type(handler).__name__ for handler in logger.handlers]
        print(name, kinds, logger.level, logger.propagate, logger.disabled, logger.filters)
"""


def program(gateway: SimulatedGateway, text: str) -> tuple[str, str]:
    """Return the stdout and stderr of a program that succeeds, and whose retries have no delay."""
    result = subprocess.run(
        [sys.executable, "-c", f"import time; time.sleep = lambda seconds: None\n{text}"],
        env={**os.environ, **gateway.environ},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return result.stdout, result.stderr


def test_importing_the_package_and_making_a_client_configures_no_logging(gateway: SimulatedGateway) -> None:
    text = LOGGING_STATE.format(key=gateway.environ["WONDER_PRIVATE_KEY"].replace("\\n", "\n"))
    assert program(gateway, text) == ("wonder_payment ['NullHandler'] 0 True False []\n", "")


def test_a_retry_prints_nothing_without_a_logging_configuration(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=503))
    text = f"import wonder_payment; print(wonder_payment.check_token('{TEST_TOKENS[0].token}').state)"
    assert program(gateway, text) == ("success\n", "")
    assert [request.status for request in gateway.requests] == [503, 200]


def test_only_retries_are_logged_above_debug(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=503))
    text = f"""
import logging, wonder_payment
logging.basicConfig(level="DEBUG", format="%(name)s %(levelname)s")
logging.getLogger("wonder_payment").setLevel("INFO")
logging.getLogger("httpx").setLevel("WARNING")
logging.getLogger("httpcore").setLevel("WARNING")
wonder_payment.check_token("{TEST_TOKENS[0].token}")
"""
    _, lines = program(gateway, text)
    assert [line for line in lines.splitlines() if line.startswith("wonder")] == ["wonder_payment WARNING"]


def test_log_records_have_one_template_for_each_kind_of_event_and_can_be_pickled(
    caller: Caller, gateway: SimulatedGateway, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for fault in (Fault(status=503), Fault(broken="reset before"), Fault(status=429, headers={"Retry-After": "3"})):
        gateway.inject(fault)
    with caplog.at_level(1, "wonder_payment"):
        caller.check(gateway.add_token(), retry=STEADY)
    records = [record for record in caplog.records if record.name.startswith("wonder_payment")]
    templates = {(record.levelname, record.msg) for record in records}
    # A log server can group them.
    assert sorted(level for level, _ in templates) == ["DEBUG", "WARNING"]
    assert len(records) == 4 + 3
    assert len(clock.slept) == 3
    for record in records:
        assert isinstance(record.args, tuple)
        assert record.msg.count("%") == len(record.args) > 0
        assert {type(value) for value in record.args} <= {int, float, str}
        assert pickle.loads(pickle.dumps(record)).getMessage() == record.getMessage()  # noqa: S301
        assert record.exc_info is None


# on_retry


class RetryCounter:
    """A counter with labels, such as that of Prometheus."""

    def __init__(self) -> None:
        self.values: Counter[str] = Counter()

    def count(self, error: WonderError, delay: float) -> None:
        assert delay >= 0
        self.values[type(error).__name__] += 1


def test_on_retry_can_count_retries_by_error(caller: Caller, gateway: SimulatedGateway, clock: Clock) -> None:
    for fault in (Fault(status=503, times=2), Fault(broken="reset before")):
        gateway.inject(fault)
    counter = RetryCounter()
    caller.check(gateway.add_token(), retry=STEADY, on_retry=counter.count)
    assert counter.values == {"ServerError": 2, "NetworkError": 1}
    assert len(clock.slept) == 3


def test_on_retry_is_called_before_each_delay_with_the_error_and_the_delay(
    caller: Caller, gateway: SimulatedGateway, clock: Clock
) -> None:
    gateway.inject(Fault(status=429, headers={"Retry-After": "7"}))
    gateway.inject(Fault(status=502))
    gateway.inject(Fault(broken="truncated"))
    seen: list[tuple[type[WonderError], int, str | None, float, int]] = []

    def on_retry(error: WonderError, delay: float) -> None:
        seen.append((type(error), error.attempts, error.request_id, delay, len(clock.slept)))

    caller.check(gateway.add_token(), retry=STEADY, on_retry=on_retry)
    ids = [request.request_id for request in gateway.requests]
    assert seen == [
        (RateLimitError, 1, ids[0], 7.0, 0),
        (ServerError, 2, ids[1], 1.0, 1),
        (NetworkError, 3, ids[2], 2.0, 2),
    ]
    assert clock.slept == [7.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("fault", "retry", "kind"),
    [
        (None, STEADY, None),
        (Fault(status=404), STEADY, NotFoundError),
        (Fault(status=503), RetryPolicy.never(), ServerError),
        (Fault(status=429, headers={"Retry-After": "3600"}), STEADY, RateLimitError),
    ],
    ids=["a token", "404", "never", "a delay that does not fit"],
)
def test_on_retry_is_not_called_without_a_retry(
    caller: Caller,
    gateway: SimulatedGateway,
    fault: Fault | None,
    retry: RetryPolicy,
    kind: type[WonderError] | None,
) -> None:
    if fault:
        gateway.inject(fault)
    counter = RetryCounter()
    if kind:
        with pytest.raises(kind):
            caller.check(gateway.add_token(), retry=retry, on_retry=counter.count)
    else:
        caller.check(gateway.add_token(), retry=retry, on_retry=counter.count)
    assert counter.values == {}
    assert len(gateway.requests) == 1


def test_on_retry_is_not_called_for_the_last_attempt(caller: Caller, gateway: SimulatedGateway, clock: Clock) -> None:
    gateway.inject(Fault(status=503, times=3))
    counter = RetryCounter()
    with pytest.raises(ServerError) as caught:
        caller.check(gateway.add_token(), retry=RetryPolicy(max_attempts=3), on_retry=counter.count)
    assert (caught.value.attempts, counter.values["ServerError"], len(clock.slept)) == (3, 2, 2)


def test_on_retry_is_called_for_the_retries_of_polls_and_not_for_polls(
    caller: Caller, gateway: SimulatedGateway, clock: Clock
) -> None:
    token = gateway.add_token(states=["pending", "pending", "success"])
    counter = RetryCounter()
    gateway.inject(Fault(status=503), token=token)
    options = {"poll": PollPolicy(interval_initial=1.0, growth=0.0, jitter=0.0)}
    caller.wait(token, settings={"retry": STEADY, "on_retry": counter.count}, **options)
    assert counter.values == {"ServerError": 1}
    assert [request.status for request in gateway.requests] == [503, 200, 200, 200]
    assert clock.slept[0] == 0.5


def test_on_retry_is_not_called_for_a_failed_poll_that_is_not_retried(
    caller: Caller, gateway: SimulatedGateway, clock: Clock
) -> None:
    gateway.inject(Fault(status=503, times=1_000))
    counter = RetryCounter()
    with pytest.raises(StillPendingError):
        caller.wait(
            gateway.add_token(), settings={"retry": RetryPolicy.never(), "on_retry": counter.count}, timeout=5.0
        )
    assert counter.values == {}
    assert clock.slept


def test_on_retry_is_an_argument_of_from_env(gateway: SimulatedGateway, caller: Caller, clock: Clock) -> None:
    counter = RetryCounter()
    kind = type(caller.make())
    from_env = kind.from_env(gateway.environ, on_retry=counter.count)
    gateway.inject(Fault(status=503))
    token = gateway.add_token()

    async def check() -> None:
        await from_env.check_token(token)

    if caller.is_async:
        asyncio.run(check())
    else:
        from_env.check_token(token)
    assert counter.values == {"ServerError": 1}
    assert len(clock.slept) == 1
