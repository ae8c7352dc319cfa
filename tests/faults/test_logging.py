"""Log records: the package configures no logging, and each kind of event has one template."""

import os
import pickle
import subprocess
import sys

import pytest
from conftest import Caller, Clock
from wonder_payment import RetryPolicy
from wonder_payment.simulator import TEST_TOKENS, Fault, SimulatedGateway

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
        caller.check(gateway.add_token(), retry=RetryPolicy(jitter=0.0))
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
