"""The options of `pantheon logs`."""

import argparse
from typing import Any, Final

_LINES: Final = 50


def add_parser(commands: Any) -> None:
    """The command and its options."""
    logs = commands.add_parser(
        "logs",
        help="show the logs of `pantheon run`, the errors, or all about one turn",
        description="Show the newest lines of the logs of `pantheon run`, whether it runs or not, in plain words.",
    )
    logs.add_argument("--follow", "-f", action="store_true", help="go on with new lines until Ctrl-C")
    logs.add_argument("--errors", action="store_true", help="only errors and warnings")
    logs.add_argument("--all", action="store_true", help="also metrics, and the steps of the local model")
    logs.add_argument("--turn", metavar="ID", help="a turn, its calls and its lines, by the id or the end of it")
    logs.add_argument("--lines", "-n", type=_number, default=_LINES, metavar="N", help=f"how many lines ({_LINES})")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is no number")
    return int(text)
