"""Talk to a council of any deployment in the terminal, for `pantheon chat`."""

import argparse
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local import deployment

if TYPE_CHECKING:
    from rich.console import Console

_COMMANDS = """in the chat:
  /switch COUNCIL  talk to another council or agent, in a new session; without a name, list them
  /cost            show the cost of this chat and of the month
  /help            show these lines
  /quit            leave; so does Ctrl-D

Ctrl-C cancels the turn that runs. A second Ctrl-C leaves."""


def add_parser(commands: Any) -> None:
    chat = commands.add_parser(
        "chat",
        help="talk to a council in the terminal",
        description="Talk to a council or an agent. Answers appear as they are written. Each turn shows its cost.",
        epilog=_COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    chat.add_argument("council", nargs="?", metavar="COUNCIL", help="a council or an agent by its key (the first one)")
    deployment.add_options(chat)


def run(given: argparse.Namespace, environ: Mapping[str, str], console: "Console") -> int:
    """Talk until the user leaves, and return the exit code. Raises DeploymentError."""
    # `pantheon token` imports this module and must start fast.
    from local.chat.conversation import Conversation
    from local.chat.loop import talk

    # A process that was started in the background ignores Ctrl-C by default.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with deployment.connect(given, environ) as there:
        return talk(Conversation(there, given.council), console, _COMMANDS)
