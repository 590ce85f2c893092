"""Define the options of `pantheon logs`."""

import argparse
from typing import Any, Final

_LINES: Final = 50


def add_parser(commands: Any) -> None:
    logs = commands.add_parser(
        "logs",
        help="show the logs of `pantheon run`, its errors, or one turn",
        description="Show the newest lines of the logs of `pantheon run` in plain words, whether it runs or not.",
    )
    logs.add_argument("--follow", "-f", action="store_true", help="show new lines until Ctrl-C")
    logs.add_argument("--errors", action="store_true", help="show only errors and warnings")
    logs.add_argument("--all", action="store_true", help="also show metrics and the steps of the local model")
    logs.add_argument("--turn", metavar="ID", help="show a turn, its calls and its lines; ID may be the end of the id")
    logs.add_argument("--lines", "-n", type=_number, default=_LINES, metavar="N", help=f"number of lines ({_LINES})")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number")
    return int(text)
