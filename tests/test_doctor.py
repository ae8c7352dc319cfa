"""`wonder-payment doctor`: what it finds, and what it shows."""

import json
import re
from typing import Any

import httpx
import pytest
from commands import CARD_NUMBER, FAILED, VERIFIED, run
from conftest import TOKEN, Clock, pem
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from faults.servers import NOWHERE, a_server, environment, responding_once
from typer.testing import Result
from wonder_payment.cli.examination import Examination
from wonder_payment.cli.probes import ECHO_PATHS, Gateway, Recorder, Verdict
from wonder_payment.simulator import TEST_CUSTOMER_UUID, TEST_VERIFY_UUID, Fault, SimulatedGateway

LITERAL, CUSTOMER = "literal uuid", "customer …0001"


def signs(result: Result) -> str:
    """Return the signs of the findings, in their order."""
    return "".join(line[0] for line in result.stdout.splitlines() if line[:2] in ("✔ ", "✘ ", "? "))


def test_a_good_setup_is_shown_with_its_variables_and_without_secrets(gateway: SimulatedGateway) -> None:
    result = run(gateway, "doctor", HTTP_PROXY="http://127.0.0.1:9")
    assert (result.exit_code, signs(result)) == (0, "✔✔✔✔✔✔"), result.stdout
    for shown in (
        f"settings    WONDER_APP_ID={gateway.app_id}, WONDER_BASE_URL={gateway.base_url}",
        "key         WONDER_PRIVATE_KEY: RSA, 2048 bits",
        f"connection  connected to {gateway.base_url} directly",
        "clock       agrees with the gateway's",
        f"signature   accepted: POST {ECHO_PATHS[0]}: HTTP 200, code 0",
        "check       responds: random token: HTTP 404, code",
    ):
        assert shown in result.stdout
    assert "PRIVATE KEY-----" not in result.stdout


@pytest.mark.parametrize(
    ("environ", "expected", "advice"),
    [
        ({"WONDER_APP_ID": "", "WONDER_PRIVATE_KEY": ""}, "✘", "Set WONDER_APP_ID, WONDER_PRIVATE_KEY"),
        ({"WONDER_BASE_URL": "http://gateway.example"}, "✘", "WONDER_BASE_URL must be https://"),
        ({"WONDER_LANGUAGE": "de"}, "✘", "WONDER_LANGUAGE must be one of en, zh-HK"),
        ({"WONDER_PRIVATE_KEY": "garbage"}, "✔✘", "WONDER_PRIVATE_KEY is not a PEM"),
        ({"WONDER_PRIVATE_KEY_PASSPHRASE": "x"}, "✔✘", "omit WONDER_PRIVATE_KEY_PASSPHRASE"),
        ({"WONDER_PRIVATE_KEY": "weak"}, "✔✘", "only 1024 bits. Create one of at least 2048"),
        ({"WONDER_PRIVATE_KEY": pem()}, "✔✔✔✔✘✘", "has the public half of WONDER_PRIVATE_KEY"),
        ({"WONDER_APP_ID": "another"}, "✔✔✔✔✘✘", "Check WONDER_APP_ID and WONDER_BASE_URL"),
        ({"WONDER_BASE_URL": "http://127.0.0.1:1"}, "✔✔✘", "cannot reach http://127.0.0.1:1 directly: no response ("),
        (
            {"WONDER_BASE_URL": "https://gateway.example", "HTTPS_PROXY": "ftp://user:secret@proxy.example"},
            "✔✔✘",
            "The proxy from HTTPS_PROXY cannot be used",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_problem_is_shown_with_its_variable_and_its_fix(
    gateway: SimulatedGateway, environ: dict[str, str], expected: str, advice: str
) -> None:
    if environ.get("WONDER_PRIVATE_KEY") == "weak":
        key = generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (too short on purpose)
        environ = {"WONDER_PRIVATE_KEY": SimulatedGateway(private_key=key).environ["WONDER_PRIVATE_KEY"]}
    result = run(gateway, "doctor", **environ)
    assert (result.exit_code, signs(result)) == (1, expected), result.stdout
    assert advice in result.stdout
    assert "secret" not in result.stdout


@pytest.mark.parametrize(("offset", "way"), [(3600.0, "60 minutes behind"), (-3600.0, "60 minutes ahead of")])
def test_a_wrong_clock_is_shown_although_the_signature_is_accepted(
    gateway: SimulatedGateway, offset: float, way: str
) -> None:
    gateway.clock_offset = offset
    result = run(gateway, "doctor")
    # The client corrects the time that it signs.
    assert (result.exit_code, signs(result)) == (1, "✔✔✔✘✔✔")
    assert f"clock       {way} the gateway's clock." in result.stdout


HTML = {"headers": {"Content-Type": "text/html", "Location": "/"}}


def test_a_rejection_that_is_compressed_and_of_another_time_is_shown(gateway: SimulatedGateway) -> None:
    headers = {"Content-Encoding": "gzip"}
    gateway.inject(Fault(status=401, body="no gzip", headers=headers, clock_minutes=60, times=4))
    result = run(gateway, "doctor")
    assert (result.exit_code, signs(result)) == (1, "✔✔✔✔✘✘"), result.output
    assert f"rejected: POST {ECHO_PATHS[0]}: HTTP 401" in result.stdout


def test_a_time_that_cannot_be_read_is_no_time() -> None:
    def handle(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Date": "yesterday"}, stream=httpx.ByteStream(b""))

    examination = Examination(None)
    recorder = Recorder(httpx.MockTransport(handle))
    examination._gateway = Gateway({"base_url": "http://127.0.0.1"}, recorder)  # noqa: SLF001
    examination._date = examination._gateway.head().date  # noqa: SLF001
    assert examination.clock().verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("fault", "status", "expected", "text"),
    [
        (Fault(status=404, times=3, **HTML), 3, "✔✔✔✔??", f"{ECHO_PATHS[1]}: HTTP 404: not a JSON object (text/html)"),
        (Fault(status=302, times=3, **HTML), 3, "✔✔✔✔??", "HTTP 302"),
        (Fault(status=200, times=3, **HTML), 3, "✔✔✔✔??", "HTTP 200: not a JSON object (text/html)"),
        (Fault(status=404, **HTML), 0, "✔✔✔✔✔✔", f"accepted: POST {ECHO_PATHS[1]}: HTTP 200"),
        (Fault(status=400, body='{"code": "E000002"}', times=2), 1, "✔✔✔✔✘✔", 'HTTP 400, code "E000002"'),
        (Fault(status=403, times=2, **HTML), 1, "✔✔✔✔✘✔", "the app id's IP restriction"),
        (Fault(broken="reset before", times=2), 3, "✔✔✔✔?✔", "no response ("),
        (
            Fault(status=200, body='{"message": "Hello"}', times=2),
            3,
            "✔✔✔✔?✔",
            "HTTP 200: no code; the fields are message",
        ),
    ],
    ids=["404", "302", "HTML", "one path is missing", "E000002", "403", "no response", "no code"],
)
def test_an_unknown_signature_is_neither_accepted_nor_rejected(
    gateway: SimulatedGateway, fault: Fault, status: int, expected: str, text: str
) -> None:
    gateway.inject(fault)
    result = run(gateway, "doctor")
    assert (result.exit_code, signs(result)) == (status, expected), result.stdout
    assert text in result.stdout


def table(result: Result) -> dict[tuple[str, str], str]:
    """Return whether each form of the request worked, as the table says."""
    rows = [line.strip().split("  ") for line in result.stdout.splitlines() if line.startswith(("  literal", "  cust"))]
    cells = [[cell.strip() for cell in row if cell] for row in rows]
    return {(path, verify): works for path, verify, works, *_ in cells}


UUIDS = ["--customer-uuid", TEST_CUSTOMER_UUID, "--verify-uuid", TEST_VERIFY_UUID]


@pytest.mark.parametrize(
    ("variant", "works", "use", "reply"),
    [
        ({}, ["yes", "yes", "yes", "yes"], ["customer_uuid"], "HTTP 200, code 0: state failed, type CreditCard"),
        ({"requires_customer_uuid": True}, ["no", "no", "yes", "yes"], ["customer_uuid"], "HTTP 400, code "),
        ({"requires_verify_uuid": True, "code": 200}, ["no", "yes", "no", "yes"], None, "HTTP 200, code 200: state"),
        (
            {"requires_customer_uuid": True, "requires_verify_uuid": True, "envelope": "error_code"},
            ["no", "no", "no", "yes"],
            None,
            'HTTP 200, error_code "": state',
        ),
    ],
    ids=["lenient", "customer", "verify", "both"],
)
def test_a_token_shows_which_arguments_the_gateway_needs(
    variant: dict[str, Any], works: list[str], use: list[str] | None, reply: str
) -> None:
    use = use or ["customer_uuid", "verify_uuid"]
    with SimulatedGateway(**variant) as gateway:
        result = run(gateway, "doctor", "--token", FAILED, *UUIDS)
        content = json.loads(run(gateway, "doctor", "--token", FAILED, *UUIDS, "--json").stdout)
    forms = [(path, verify) for path in (LITERAL, CUSTOMER) for verify in ("-", "…0001")]
    assert (result.exit_code, table(result)) == (0, dict(zip(forms, works, strict=True)))
    assert reply in result.stdout
    assert f"check_token({', '.join(['token', *(f'{name}={name}' for name in use)])})" in result.stdout
    assert content["check"]["use"] == use
    assert [trial["works"] for trial in content["check"]["trials"]] == [shown == "yes" for shown in works]
    for secret in (FAILED, TEST_CUSTOMER_UUID, TEST_VERIFY_UUID):
        assert secret not in result.stdout + json.dumps(content)


@pytest.mark.parametrize(
    ("token", "arguments", "advice"),
    [
        (VERIFIED, [], "Also try --customer-uuid and --verify-uuid."),
        (TOKEN, UUIDS[:2], "Also try --verify-uuid."),
        (TOKEN, UUIDS, "in this environment for this app.\n"),
    ],
    ids=["nothing given", "customer given", "all given"],
)
def test_a_token_that_is_not_found_leaves_the_question_open(token: str, arguments: list[str], advice: str) -> None:
    with SimulatedGateway(requires_customer_uuid=True, requires_verify_uuid=True) as gateway:
        result = run(gateway, "doctor", "--token", token, *arguments)
    assert (result.exit_code, signs(result)) == (3, "✔✔✔✔✔?")
    assert advice in result.stdout
    assert "Use from now on" not in result.stdout
    assert set(table(result).values()) == {"no"}


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (Fault(status=401), 3, "The app id and the key are good: the echo request was accepted."),
        (Fault(broken="reset before"), 3, "No response from the gateway"),
        (Fault(status=200, body='{"code": 0, "data": {}}'), 3, "`data.payment_token` is missing"),
    ],
    ids=["rejected although the echo was accepted", "no response", "broken contract"],
)
def test_a_check_that_fails_otherwise_is_shown_with_its_reason(
    gateway: SimulatedGateway, clock: Clock, fault: Fault, status: int, text: str
) -> None:
    gateway.inject(fault, token=VERIFIED)
    result = run(gateway, "doctor", "--token", VERIFIED)
    assert (result.exit_code, set(table(result).values())) == (status, {"no"}), result.stdout
    assert text in result.stdout
    assert clock.slept == []  # no retries


@pytest.mark.parametrize(
    ("echo", "status", "text"),
    [
        (None, 3, "The app id and the key are good: the echo request was accepted."),
        (404, 1, "rejected. Check WONDER_APP_ID"),
        (401, 1, "rejected. Check WONDER_APP_ID"),
    ],
)
@pytest.mark.parametrize("check", [Fault(status=401), Fault(status=403), Fault(status=400, body='{"code": "E000002"}')])
def test_a_rejected_check_questions_the_key_only_if_the_echo_was_not_accepted(
    gateway: SimulatedGateway, echo: int | None, status: int, text: str, check: Fault
) -> None:
    gateway.inject(check, token=VERIFIED)
    if echo:
        gateway.inject(Fault(status=echo, times=2, **HTML))
    result = run(gateway, "doctor", "--token", VERIFIED)
    assert (result.exit_code, text in result.stdout) == (status, True), result.stdout


def test_a_rejected_random_token_does_not_question_the_key_if_the_echo_was_accepted(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=404, **HTML))
    gateway.inject(Fault(status=200, body='{"code": 0}'))
    gateway.inject(Fault(status=403))
    result = run(gateway, "doctor")
    assert (result.exit_code, signs(result)) == (3, "✔✔✔✔✔?"), result.stdout
    assert "unknown: random token: HTTP 403" in result.stdout
    assert "The app id and the key are good: the echo request was accepted." in result.stdout


PROXY_ERROR = b"HTTP/1.1 %s no entry for svc:Tr0ub\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("407", "HTTP 407 Proxy Authentication Required: check the user name and the password in the proxy's URL"),
        ("403", "HTTP 403 Forbidden"),
        ("599", "HTTP 599"),
    ],
)
@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"]], ids=" ".join)
def test_a_proxy_that_rejects_the_connection_is_shown_without_its_reason_phrase(
    gateway: SimulatedGateway, status: str, shown: str, arguments: list[str]
) -> None:
    with a_server(responding_once(PROXY_ERROR % status.encode()), None) as port, environment():
        proxy = f"http://svc:Tr0ub%2F4dor@127.0.0.1:{port}"
        result = run(gateway, *arguments, WONDER_BASE_URL=f"https://{NOWHERE}", HTTPS_PROXY=proxy)
    assert result.exit_code == 1
    assert (
        f"through the proxy of HTTPS_PROXY, 127.0.0.1:{port}: no response (the proxy returned {shown})" in result.stdout
    )
    assert not re.search("svc|Tr0ub|4dor|no entry", result.output)


def test_json_has_the_same_findings_for_programs(gateway: SimulatedGateway) -> None:
    result = run(gateway, "doctor", "--json", WONDER_APP_ID="another")
    content: dict[str, Any] = json.loads(result.stdout)
    steps = ["settings", "key", "connection", "clock", "signature", "check"]
    assert (result.exit_code, list(content)) == (1, ["versions", *steps])
    assert [content[step]["verdict"] for step in steps] == ["ok", "ok", "ok", "ok", "wrong", "wrong"]
    request_ids = [request.request_id for request in gateway.requests]
    replies = [*content["signature"]["replies"], *content["check"]["replies"]]
    assert [reply["request_id"] for reply in replies] == request_ids
    assert {reply["status"] for reply in replies} == {401}


@pytest.mark.parametrize(
    "arguments",
    [["--token", CARD_NUMBER], ["--token", VERIFIED, "--customer-uuid", CARD_NUMBER], ["--verify-uuid", CARD_NUMBER]],
    ids=["token", "customer", "without a token"],
)
def test_wrong_usage_sends_nothing(gateway: SimulatedGateway, arguments: list[str]) -> None:
    result = run(gateway, "doctor", *arguments)
    assert (result.exit_code, gateway.requests) == (2, [])
    assert CARD_NUMBER not in result.output
