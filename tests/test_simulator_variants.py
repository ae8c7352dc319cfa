"""The simulator as each variant of the gateway, and both clients against all of them."""

import asyncio
import html
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from commands import run, start
from conftest import key
from wonder_payment import BadRequestError, NotFoundError, RetryPolicy, TokenReference, WonderClient
from wonder_payment.signing import WonderAuth
from wonder_payment.simulator import (
    ECHO_PATHS,
    TEST_CUSTOMER_UUID,
    TEST_TOKENS,
    TEST_VERIFY_UUID,
    Fault,
    SimulatedGateway,
)

VERIFIED, FAILED = (test.token for test in TEST_TOKENS[:2])
OTHER = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"
NEVER = RetryPolicy.never()
STRICT = {"requires_customer_uuid": True, "requires_verify_uuid": True}

ARGUMENTS: dict[str, dict[str, str]] = {
    "token": {},
    "customer": {"customer_uuid": TEST_CUSTOMER_UUID},
    "verify": {"verify_uuid": TEST_VERIFY_UUID},
    "both": {"customer_uuid": TEST_CUSTOMER_UUID.upper(), "verify_uuid": TEST_VERIFY_UUID.upper()},
    "other customer": {"customer_uuid": OTHER, "verify_uuid": TEST_VERIFY_UUID},
    "other verify": {"customer_uuid": TEST_CUSTOMER_UUID, "verify_uuid": OTHER},
}

# What a check with these arguments, in the order of ARGUMENTS, gives: a state, or the code of an error.
NO_CUSTOMER, NO_VERIFY, NO_TOKEN = "400 SIM_CUSTOMER", "400 SIM_VERIFY_UUID", "404 SIM_TOKEN"
REQUIREMENTS: dict[str, tuple[dict[str, bool], list[str]]] = {
    "nothing": ({}, ["success"] * 6),
    "customer": (
        {"requires_customer_uuid": True},
        [NO_CUSTOMER, "success", NO_CUSTOMER, "success", NO_TOKEN, "success"],
    ),
    "verify": (
        {"requires_verify_uuid": True},
        [NO_VERIFY, NO_VERIFY, "success", "success", "success", NO_TOKEN],
    ),
    "both": (STRICT, [NO_CUSTOMER, NO_VERIFY, NO_CUSTOMER, "success", NO_TOKEN, NO_TOKEN]),
}

RESPONSES: dict[str, dict[str, Any]] = {
    "code 0": {},
    "code 200": {"code": 200},
    "code text": {"code": "0"},
    "old envelope": {"envelope": "error_code"},
}


@contextmanager
def simulator(**settings: Any) -> Iterator[SimulatedGateway]:
    with SimulatedGateway(private_key=key(), **settings) as gateway:
        yield gateway


def outcome(wonder: WonderClient, arguments: dict[str, str]) -> str:
    try:
        return str(wonder.check_token(VERIFIED, **arguments).state)
    except (BadRequestError, NotFoundError) as error:
        return f"{error.status_code} {error.code}"


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("required", REQUIREMENTS)
def test_a_check_succeeds_with_the_arguments_that_a_variant_requires(required: str, response: str) -> None:
    settings, expected = REQUIREMENTS[required]
    with simulator(**settings, **RESPONSES[response]) as gateway, gateway.client(retry=NEVER) as wonder:
        outcomes = {name: outcome(wonder, arguments) for name, arguments in ARGUMENTS.items()}
        assert outcome(wonder, gateway.token_arguments) == "success"
    assert outcomes == dict(zip(ARGUMENTS, expected, strict=True))
    assert all(request.verdict.rejection is None for request in gateway.requests)


@pytest.mark.parametrize("response", RESPONSES)
def test_the_async_client_works_with_every_variant(response: str) -> None:
    async def check(gateway: SimulatedGateway) -> tuple[bool, str | int | None]:
        async with gateway.async_client(retry=NEVER) as wonder:
            result = await wonder.check_token(VERIFIED, **gateway.token_arguments)
            with pytest.raises(BadRequestError) as caught:
                await wonder.check_token(VERIFIED)
        return result.is_verified, caught.value.code

    with simulator(**STRICT, **RESPONSES[response]) as gateway:
        assert asyncio.run(check(gateway)) == (True, "SIM_CUSTOMER")


def test_waits_and_batches_reach_the_tokens_of_a_strict_gateway() -> None:
    with simulator(**STRICT, envelope="error_code") as gateway, gateway.client(retry=NEVER) as wonder:
        assert wonder.wait_for_token(FAILED, **gateway.token_arguments).error_code == "SIM_3DS_DECLINED"
        found = TokenReference(VERIFIED, TEST_CUSTOMER_UUID, TEST_VERIFY_UUID)
        results = {result.token_id: result for result in wonder.check_tokens([found, FAILED])}
    assert results[VERIFIED].token is not None
    assert isinstance(results[FAILED].error, BadRequestError)


def test_a_token_belongs_to_one_customer_and_one_verification() -> None:
    with simulator(**STRICT) as gateway, gateway.client(retry=NEVER) as wonder:
        token = gateway.add_token(customer_uuid=OTHER.upper(), verify_uuid=OTHER)
        assert wonder.check_token(token, customer_uuid=OTHER, verify_uuid=OTHER).is_pending
        for arguments in (ARGUMENTS["other customer"], ARGUMENTS["other verify"]):
            with pytest.raises(NotFoundError):
                wonder.check_token(token, **arguments)


def test_only_a_check_that_finds_the_token_counts_as_a_poll() -> None:
    with simulator(**STRICT) as gateway, gateway.client(retry=NEVER) as wonder:
        token = gateway.add_token(states=["pending", "success"])
        with pytest.raises(BadRequestError):
            wonder.check_token(token)
        assert wonder.check_token(token, **gateway.token_arguments).is_pending
        assert wonder.check_token(token, **gateway.token_arguments).is_verified
    recorded = [(request.customer_uuid, request.verify_uuid) for request in gateway.requests]
    assert recorded == [("uuid", None), *[(TEST_CUSTOMER_UUID, TEST_VERIFY_UUID)] * 2]


@pytest.mark.parametrize("required", [[], ["customer_uuid"], ["verify_uuid"], ["customer_uuid", "verify_uuid"]])
def test_the_arguments_of_the_test_tokens_are_listed(required: list[str]) -> None:
    own = {"customer_uuid": TEST_CUSTOMER_UUID, "verify_uuid": TEST_VERIFY_UUID}
    gateway = SimulatedGateway(private_key=key(), **{f"requires_{name}": True for name in required})
    assert gateway.token_arguments == {name: own[name] for name in required}


def test_a_fault_keeps_the_envelope() -> None:
    with simulator(envelope="error_code") as gateway, gateway.client(retry=NEVER) as wonder:
        gateway.inject(Fault(status=422))
        with pytest.raises(BadRequestError) as caught:
            wonder.check_token(VERIFIED)
        assert (caught.value.code, caught.value.message) == ("SIM_FAULT", "An injected fault: 422.")
        gateway.inject(Fault(status=422))
        assert set(echo(gateway).json()) == {"error_code", "error_message"}


def echo(gateway: SimulatedGateway, path: str = ECHO_PATHS[0], *, app_id: str | None = None) -> httpx.Response:
    auth = WonderAuth(app_id or gateway.app_id, gateway.private_key, origin=gateway.base_url)
    with httpx.Client(auth=auth, trust_env=False) as client:
        return client.post(gateway.base_url + path, content=b'{"any": "body"}')


@pytest.mark.parametrize(
    ("settings", "good", "bad"),
    [
        ({}, {"code": 0, "message": "success"}, {"code", "message"}),
        ({"code": 200}, {"code": 200, "message": "success"}, {"code", "message"}),
        ({"code": "0"}, {"code": "0", "message": "success"}, {"code", "message"}),
        ({"envelope": "error_code"}, {"error_code": "", "error_message": ""}, {"error_code", "error_message"}),
    ],
    ids=RESPONSES,
)
def test_an_echo_request_gets_a_response_in_the_envelope(
    settings: dict[str, Any], good: dict[str, Any], bad: set[str]
) -> None:
    with simulator(**STRICT, **settings) as gateway:
        for path in ECHO_PATHS:
            response = echo(gateway, path)
            assert (response.status_code, response.json()) == (200, good)
        rejected = echo(gateway, app_id="another")
    assert (rejected.status_code, set(rejected.json())) == (401, bad)
    assert "SIM_APP_ID" in rejected.text


def test_an_echo_request_is_recorded_apart_from_checks(gateway: SimulatedGateway) -> None:
    for path in ECHO_PATHS:
        echo(gateway, path)
    echo(gateway, app_id="another")
    recorded = gateway.requests
    assert [request.path for request in recorded] == [*ECHO_PATHS, ECHO_PATHS[0]]
    assert {(request.token, request.customer_uuid, request.verify_uuid) for request in recorded} == {(None, None, None)}
    assert [request.verdict.rejection is None for request in recorded] == [True, True, False]


def test_faults_apply_to_echo_requests(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=403))
    assert [echo(gateway).status_code for _ in range(2)] == [403, 200]


@pytest.mark.parametrize("paths", [(), ECHO_PATHS[:1], [ECHO_PATHS[1]]], ids=["none", "guide", "samples"])
def test_an_echo_path_may_be_missing(paths: Any) -> None:
    with simulator(echo_paths=paths) as gateway:
        statuses = {path: echo(gateway, path).status_code for path in ECHO_PATHS}
    assert statuses == {path: 200 if path in paths else 404 for path in ECHO_PATHS}


@pytest.mark.parametrize(
    "settings",
    [
        {"requires_customer_uuid": "yes"},
        {"requires_verify_uuid": None},
        {"envelope": "old"},
        {"code": 1},
        {"code": "200"},
        {"code": False},
        {"code": 0.0},
        {"code": []},
        {"code": 200, "envelope": "error_code"},
        {"code": "0", "envelope": "error_code"},
        {"echo_paths": ECHO_PATHS[0]},
        {"echo_paths": ["/echo"]},
        {"echo_paths": None},
    ],
    ids=str,
)
def test_a_variant_with_a_wrong_value_is_an_error_that_names_it(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
        SimulatedGateway(private_key=key(), **settings)


@pytest.mark.parametrize("name", ["customer_uuid", "verify_uuid"])
@pytest.mark.parametrize("value", ["uuid", "", 1])
def test_a_token_with_no_uuid_for_a_customer_is_an_error_that_names_it(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        SimulatedGateway(private_key=key()).add_token(**{name: value})


def test_the_page_shows_what_a_variant_requires_and_echo_requests() -> None:
    with simulator(requires_customer_uuid=True) as gateway:
        own = gateway.add_token(customer_uuid=OTHER)
        echo(gateway)
        page = html.unescape(re.sub(r"<[^>]*>", "", httpx.get(gateway.base_url, trust_env=False).text))
    assert f"Required customer_uuid, unless a token has its own{TEST_CUSTOMER_UUID}" in page
    assert f"customer_uuid {OTHER}" in page.partition(own)[2].partition(TEST_TOKENS[0].token)[0]
    assert "verify_uuid" not in page
    assert "echo request" in page


@pytest.mark.parametrize(
    ("options", "printed", "body"),
    [
        (["--code", '"0"'], [], {"code": "0", "message": "success"}),
        (
            ["--requires-customer-uuid", "--requires-verify-uuid", "--envelope", "error_code"],
            [f"#   --customer-uuid {TEST_CUSTOMER_UUID}", f"#   --verify-uuid {TEST_VERIFY_UUID}"],
            {"error_code": "", "error_message": ""},
        ),
    ],
    ids=["code", "requirements and envelope"],
)
def test_the_command_runs_each_variant_and_prints_what_it_requires(
    options: list[str], printed: list[str], body: dict[str, str]
) -> None:
    process = start(None, "simulator", *options)
    assert process.stdout
    text = ""
    for line in process.stdout:
        text += line
        if TEST_TOKENS[-1].token in line:
            break
    environ = dict(re.findall(r"^export (\w+)='(.*)'$", text, re.MULTILINE))
    try:
        assert [line for line in text.splitlines() if "-uuid " in line] == printed
        arguments = {line.split()[1][2:].replace("-", "_"): line.split()[2] for line in printed}
        with WonderClient.from_env(environ) as wonder:
            assert wonder.check_token(VERIFIED, **arguments).is_verified
        auth = WonderAuth(
            environ["WONDER_APP_ID"],
            environ["WONDER_PRIVATE_KEY"].replace("\\n", "\n"),
            origin=environ["WONDER_BASE_URL"],
        )
        with httpx.Client(auth=auth, base_url=environ["WONDER_BASE_URL"], trust_env=False) as client:
            assert client.post(ECHO_PATHS[0]).json() == body
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--code", "1"], "--code"),
        (["--envelope", "old"], "--envelope"),
        (["--envelope", "error_code", "--code", "200"], 'code needs the envelope "code"'),
    ],
    ids=["code", "envelope", "both"],
)
def test_the_command_rejects_an_unknown_variant(options: list[str], problem: str) -> None:
    result = run(None, "simulator", *options)
    assert (result.exit_code, problem in result.stderr) == (2, True)
