"""Runs `wonder-payment` without the functions and modules of Unix, to find code that needs them."""

import asyncio
import os
import signal
import sys

from wonder_payment.__main__ import main

for module, names in {
    os: ["fork", "register_at_fork", "getuid", "geteuid", "mkfifo"],
    signal: ["pause", "SIGHUP", "SIGUSR1", "SIGKILL", "alarm", "pthread_kill"],
}.items():
    for name in names:
        delattr(module, name)
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None  # type: ignore[assignment]


def _not_implemented(*_: object) -> None:
    raise NotImplementedError


asyncio.SelectorEventLoop.add_signal_handler = _not_implemented  # type: ignore[method-assign, assignment]
main()
