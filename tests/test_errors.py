"""The exceptions and the public names."""

import copy
import inspect
import json
import pickle
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any
from unittest.mock import Mock

import pytest
import wonder_payment
from celery import Celery
from wonder_payment import APIError, NetworkError, StillPendingError, WonderError, errors

REQUEST_ID = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"

KINDS: dict[str, type[WonderError]] = {
    name: thing for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


# The tree


def documented_tree() -> Iterator[tuple[str, str | None]]:
    """Yield each class of the tree in the module's docstring with its parent."""
    branch: list[tuple[int, str]] = []
    line_of_tree = re.compile(r"(?P<lines>[ │├└─]+)(?P<name>[A-Za-z]+)(\s{2,}.*)?")
    for line in (errors.__doc__ or "").splitlines():
        if match := line_of_tree.fullmatch(line):
            depth = len(match["lines"])
            branch = [(parent_depth, parent) for parent_depth, parent in branch if parent_depth < depth]
            yield match["name"], branch[-1][1] if branch else None
            branch.append((depth, match["name"]))


def test_the_classes_are_the_tree_of_the_docstring() -> None:
    real = {name: kind.__bases__[0].__name__ for name, kind in KINDS.items()}
    assert {**real, "WonderError": None} == dict(documented_tree())


@each_kind
def test_every_error_is_a_wonder_error_with_a_docstring(kind: type[WonderError]) -> None:
    assert issubclass(kind, WonderError)
    assert kind.__doc__


def test_only_an_invalid_token_is_also_a_value_error() -> None:
    assert [name for name, kind in KINDS.items() if issubclass(kind, ValueError)] == ["InvalidTokenError"]


def test_only_failures_that_may_pass_are_transient() -> None:
    transient = {name for name, kind in KINDS.items() if kind.is_transient}
    assert transient == {"NetworkError", "RequestTimeoutError", "RateLimitError", "ServerError", "StillPendingError"}


# Attributes

API: dict[str, Any] = {
    "status_code": 418,
    "code": "E000002",
    "message": "Invalid Credential Format.",
    "retry_after": 2.5,
}


LAST_ERROR = NetworkError("It was lost.", attempts=2)
PENDING: dict[str, Any] = {"token": None, "last_error": LAST_ERROR, "elapsed": 60.0, "polls": 2}


def full(kind: type[WonderError]) -> WonderError:
    """Return an error of this kind with all its attributes."""
    attributes = API if issubclass(kind, APIError) else PENDING if kind is StillPendingError else {}
    return kind("What happened.", request_id=REQUEST_ID, attempts=3, **attributes)


@each_kind
def test_an_error_carries_its_attributes(kind: type[WonderError]) -> None:
    error = full(kind)
    assert (error.request_id, error.attempts) == (REQUEST_ID, 3)
    assert str(error) == f"What happened. (request id {REQUEST_ID}, 3 attempts)"
    if isinstance(error, APIError):
        assert {name: getattr(error, name) for name in API} == API
    if isinstance(error, StillPendingError):
        assert {name: getattr(error, name) for name in PENDING} == PENDING


@pytest.mark.parametrize(
    ("attributes", "suffix"),
    [
        ({}, ""),
        ({"request_id": REQUEST_ID}, f" (request id {REQUEST_ID})"),
        ({"attempts": 0}, " (nothing was sent)"),
        ({"attempts": 1}, " (1 attempt)"),
        ({"attempts": 2}, " (2 attempts)"),
        ({"attempts": 1, "request_id": REQUEST_ID}, f" (request id {REQUEST_ID}, 1 attempt)"),
    ],
    ids=str,
)
def test_the_text_says_what_is_known(attributes: dict[str, Any], suffix: str) -> None:
    assert str(WonderError("What happened.", **attributes)) == f"What happened.{suffix}"


def documented_attributes(kind: type[WonderError]) -> set[str]:
    """Return the names that the docstrings of a class and its bases list as attributes."""
    docs = [inspect.cleandoc(base.__doc__ or "") for base in kind.__mro__ if issubclass(base, WonderError)]
    return {name for doc in docs for name in re.findall(r"^    (\w+): ", doc.partition("Attributes:")[2], re.MULTILINE)}


def assert_only_the_message_is_known(error: WonderError, message: str) -> None:
    assert (str(error), error.args, vars(error)) == (message, (message,), {})
    unknown = documented_attributes(type(error)) - {"is_transient"}
    assert {"request_id", "attempts"} <= unknown
    assert {getattr(error, name) for name in unknown} == {None}
    assert error.is_transient is type(error).is_transient


def raised(problem: Any) -> WonderError:
    with pytest.raises(WonderError) as caught:
        raise problem
    return caught.value


def called(problem: Any) -> WonderError:
    with pytest.raises(WonderError) as caught:
        Mock(side_effect=problem)()
    return caught.value


BARE = "No details are known."


@each_kind
@pytest.mark.parametrize("get", [raised, called])
def test_a_bare_class_is_an_error_without_details(kind: type[WonderError], get: Callable[[Any], WonderError]) -> None:
    for problem in (kind, kind()):
        error = get(problem)
        assert type(error) is kind
        assert_only_the_message_is_known(error, BARE)


def in_celery(error: WonderError) -> WonderError:
    """Return an error as the service gets it from Celery's result backend with the JSON serializer."""
    with Celery(set_as_current=False) as app:
        stored = json.dumps(app.backend.prepare_exception(error, "json"))
        rebuilt: WonderError = app.backend.exception_to_python(json.loads(stored))
        return rebuilt


@each_kind
@pytest.mark.parametrize("rebuild", [lambda error: type(error)(*error.args), in_celery], ids=["args", "Celery"])
def test_an_error_rebuilt_from_its_args_claims_nothing_else(
    kind: type[WonderError], rebuild: Callable[[WonderError], WonderError]
) -> None:
    for error in (full(kind), kind("What happened.", attempts=0), rebuild(full(kind))):
        rebuilt = rebuild(error)
        assert type(rebuilt) is kind
        assert_only_the_message_is_known(rebuilt, "What happened.")


class OrderError(NetworkError):
    """An error of a user, with a constructor of its own."""

    order: int | None = None

    def __init__(self, summary: str = "The order is open.", /, **attributes: Any) -> None:
        super().__init__(summary, **attributes)


def test_a_subclass_of_a_user_behaves_as_its_base() -> None:
    error = OrderError(order=7, attempts=1)
    assert str(error) == "The order is open. (1 attempt)"
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(twin), str(twin), twin.order) == (OrderError, str(error), 7)
    assert_only_the_message_is_known(OrderError(*error.args), "The order is open.")


def test_an_error_keeps_its_cause_its_notes_and_its_place_in_a_group() -> None:
    cause = ValueError("the cause")
    with pytest.raises(ExceptionGroup) as caught:
        raise ExceptionGroup("some", [raised(NetworkError), full(StillPendingError).with_traceback(None)]) from cause
    networks, others = caught.value.split(NetworkError)
    assert networks
    assert others
    assert [type(error) for error in (*networks.exceptions, *others.exceptions)] == [NetworkError, StillPendingError]
    error = NetworkError()
    error.add_note("during checkout")
    with pytest.raises(NetworkError) as reraised:
        raise error from cause
    assert (reraised.value.__cause__, reraised.value.__notes__) == (cause, ["during checkout"])


def fail(error: WonderError) -> None:
    raise error


def test_an_error_of_a_worker_process_arrives_whole() -> None:
    errors_ = [full(kind) for kind in KINDS.values()]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(fail, error) for error in errors_]
        arrived = [future.exception() for future in futures]
    assert [(type(error), str(error)) for error in arrived] == [(type(error), str(error)) for error in errors_]
    assert isinstance(arrived[-1], StillPendingError)
    assert str(arrived[-1].last_error) == str(LAST_ERROR)


@each_kind
def test_an_error_survives_pickle_and_copy(kind: type[WonderError]) -> None:
    error = full(kind)
    error.add_note("during checkout")
    pickles = [pickle.dumps(error, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for twin in (copy.copy(error), copy.deepcopy(error), *map(pickle.loads, pickles)):
        assert twin is not error
        assert type(twin) is kind
        assert (str(twin), repr(twin), twin.args) == (str(error), repr(error), error.args)
        # Exceptions have no equality, so the last error is compared by its text.
        assert {name: str(value) for name, value in vars(twin).items()} == {
            name: str(value) for name, value in vars(error).items()
        }
        assert twin.__notes__ == ["during checkout"]


def test_an_api_error_may_have_a_status_only() -> None:
    error = APIError("What happened.", status_code=418)
    assert (error.status_code, error.code, error.message, error.retry_after) == (418, None, None, None)


def test_the_message_has_the_attributes_that_were_set_later() -> None:
    error = NetworkError("What happened.")
    error.request_id, error.attempts = REQUEST_ID, 1
    assert str(error) == f"What happened. (request id {REQUEST_ID}, 1 attempt)"
    error.attempts = 2
    assert str(error) == f"What happened. (request id {REQUEST_ID}, 2 attempts)"


# The public names

EXPORTED = {
    *KINDS,
    "AsyncWonderClient",
    "AttemptEvent",
    "Card",
    "CheckResult",
    "Environment",
    "PaymentToken",
    "PollPolicy",
    "RetryPolicy",
    "Signer",
    "TokenChecker",
    "TokenReference",
    "TokenState",
    "TokenType",
    "WonderClient",
    "__version__",
    "check_token",
}


def test_all_lists_every_public_name_once() -> None:
    assert set(wonder_payment.__all__) == EXPORTED
    assert len(wonder_payment.__all__) == len(EXPORTED)
    assert [name for name in EXPORTED if getattr(wonder_payment, name, None) is None] == []
    assert {name: getattr(wonder_payment, name) for name in KINDS} == KINDS
