"""Turn the first Ctrl-C or SIGTERM into a KeyboardInterrupt, and ignore later ones."""

import signal
from typing import NoReturn


def raise_once(_signal: int, _frame: object) -> NoReturn:
    """Raise KeyboardInterrupt, and ignore both signals from now on, so that the command can stop cleanly."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def install() -> None:
    """Let both signals raise KeyboardInterrupt in the main thread."""
    signal.signal(signal.SIGINT, raise_once)
    signal.signal(signal.SIGTERM, raise_once)
