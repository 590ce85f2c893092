"""Read messages and commands from the terminal until the user leaves."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from rich.console import Console
from rich.text import Text

from local.chat.conversation import Conversation, Told
from local.chat.screen import Screen, safe
from local.deployment import DeploymentError

_INTERRUPTED = 130


def talk(conversation: Conversation, console: Console, help_: str, read: Callable[[str], str] = input) -> int:
    """Read and answer lines until the user leaves, and return the exit code. `help_` is the text of /help."""
    with suppress(ImportError):
        # The import gives input() a history and line editing.
        import readline  # noqa: F401
    console.print(Text(f"You talk to {safe(conversation.choice.name)}. /help lists the commands."))
    was_interrupted = False
    while True:
        try:
            line = read(f"\n{conversation.choice.key}> ").strip()
        except EOFError:
            return 0
        except KeyboardInterrupt:
            if was_interrupted:
                return _INTERRUPTED
            was_interrupted = True
            console.print("\nCtrl-C again, or /quit, leaves.")
            continue
        was_interrupted = False
        if line == "/quit":
            return 0
        try:
            _answer(line, conversation, console, help_)
        except DeploymentError as error:
            console.print(Text(safe(str(error))), style="red")
        except KeyboardInterrupt:
            # The first Ctrl-C cancelled the turn. This is the second one.
            return _INTERRUPTED


def _answer(line: str, conversation: Conversation, console: Console, help_: str) -> None:
    command, _, argument = line.partition(" ")
    match command:
        case "":
            return
        case "/help":
            console.print(help_, markup=False, highlight=False)
        case "/cost":
            _show_cost(conversation, console)
        case "/switch" if argument:
            conversation.switch(argument.strip())
            console.print(Text(f"You talk to {safe(conversation.choice.name)}, in a new session."))
        case "/switch":
            for choice in conversation.choices():
                console.print(Text(safe(f"{choice.key}  {choice.name}")))
        case _ if command.startswith("/"):
            console.print(Text(f"There is no command {safe(command)}. /help lists the commands."))
        case _:
            _take_turn(line, conversation, console)


def _take_turn(message: str, conversation: Conversation, console: Console) -> None:
    """Show a turn. Ctrl-C cancels it and shows its finished replies."""
    with Screen(console) as screen:
        try:
            _show(conversation.ask(message), screen)
        except KeyboardInterrupt:
            turn_id = conversation.cancel()
            console.print("\nCancelling the turn. Ctrl-C again leaves at once.")
            if turn_id is not None:
                _show(conversation.wait(turn_id), screen)


def _show(events: Iterator[Told], screen: Screen) -> None:
    for told in events:
        screen.take(told)


def _show_cost(conversation: Conversation, console: Console) -> None:
    month = conversation.month()
    limit = f" of {month['limit_usd']}" if month["limit_usd"] is not None else ""
    console.print(Text(f"This chat: {conversation.spent_usd:f} USD in {conversation.turns} turns."))
    console.print(Text(f"This month ({month['period']}): {month['spent_usd']}{limit} USD, all users of the tenant."))
