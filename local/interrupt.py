"""How Ctrl-C and SIGTERM end a command: by KeyboardInterrupt, and once."""

import signal
from typing import NoReturn


def raise_once(_signal: int, _frame: object) -> NoReturn:
    """A handler of signals. The way down is not interrupted again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def install() -> None:
    """Let both signals raise KeyboardInterrupt in the main thread."""
    signal.signal(signal.SIGINT, raise_once)
    signal.signal(signal.SIGTERM, raise_once)
