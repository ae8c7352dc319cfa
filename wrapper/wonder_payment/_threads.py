"""Calls in threads, whose outcome leaves where it is read."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

_T = TypeVar("_T")


def in_thread(function: Callable[[], _T]) -> Future[_T]:
    """Call a function in a thread of its own, which does not keep the process alive if it hangs."""
    future: Future[_T] = Future()
    future.set_running_or_notify_cancel()
    arguments = (settle, future, function)
    try:
        threading.Thread(target=copy_context().run, args=arguments, name="wonder-payment", daemon=True).start()
    except RuntimeError:  # no thread is left, or the interpreter is ending
        settle(future, function)
    return future


def settle(future: Future[_T], function: Callable[[], _T]) -> None:
    """Call a function and give a future its result, or the error that it raises."""
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 (it leaves where the future is read)
        del function  # from this frame, which a crash reporter may show
        future.set_exception(error)
