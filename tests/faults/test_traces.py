"""Traces: each attempt is a span within the caller's trace, without secrets."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Caller
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from wonder_payment import RetryPolicy, WonderError
from wonder_payment.signing import sign
from wonder_payment.simulator import Fault, SimulatedGateway

TWICE = RetryPolicy(max_attempts=2, backoff_initial=0.0)


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
