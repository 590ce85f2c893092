"""Start the local stack, print how to use it, and report turns and errors until Ctrl-C, for `pantheon run`."""

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local import interrupt, token_file
from local.variables import VARIABLES
from shared.names import API_PREFIX

if TYPE_CHECKING:
    from local.stack import Stack

_MESSAGE: Final = '{"message": "@writer @researcher Should a small team write tests first?"}'


def add_parser(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="start everything, and report each turn and each error",
        description="Start PostgreSQL, a local model and the gateway, and print the address. Then print a line for\n"
        "each turn, for each error, and for each process that dies. Ctrl-C stops everything.",
        epilog="\n".join(["environment:", *(f"  {name:<34}{text}" for name, text in VARIABLES.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    form = run.add_mutually_exclusive_group()
    form.add_argument("--quiet", action="store_true", help="print only the address, errors and processes that die")
    form.add_argument("--json", action="store_true", help="print each turn, error and dead process as a line of JSON")


def run(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run until Ctrl-C, and return the exit code. Raises one of START_ERRORS."""
    # `pantheon token` imports this module and must start fast.
    from local.stack import Stack

    interrupt.install()
    is_talkative = not given.quiet and not given.json
    try:
        # A function may die before the reporter exists.
        notices = _Notices()
        with Stack.start(environ, say if is_talkative else _nothing, notices.take) as stack:
            _serve(stack, given, notices)
    except KeyboardInterrupt:
        pass
    if is_talkative:
        say("Stopped.")
    return 0


def _serve(stack: "Stack", given: argparse.Namespace, notices: "_Notices") -> None:
    """Report until Ctrl-C, or until the stack fails."""
    from local.report import Reporter

    reporter = Reporter(stack.data_dir, stack.ops_url, say, as_json=given.json, quiet=given.quiet)
    with closing(reporter):
        notices.to = reporter.notice
        greet(stack, as_json=given.json, quiet=given.quiet)
        try:
            stack.wait(reporter.notice, reporter.look)
        except KeyboardInterrupt:
            if not given.quiet and not given.json:
                say("Stopping ...")
        except Exception:
            # Print the last errors, which may have the reason.
            reporter.look()
            raise


class _Notices:
    """Pass lines to the reporter once it exists. Earlier lines are dropped."""

    def __init__(self) -> None:
        self.to: Callable[[str], None] = _nothing

    def take(self, line: str) -> None:
        self.to(line)


def greet(stack: "Stack", *, as_json: bool = False, quiet: bool = False) -> None:
    """Print the stack's address and how to use it.

    Only the link to the console has the complete token, because a browser needs it."""
    token = stack.token()
    path = token_file.write(stack.data_dir, token)
    if as_json:
        say(json.dumps({"kind": "started", "url": stack.url, "token_file": str(path), "log_dir": str(stack.log_dir)}))
        return
    say(f"\nPantheon accepts requests at {stack.url}")
    if quiet:
        return
    pantheon = _program()
    header = f'"Authorization: Bearer $(cat {shlex.quote(str(path))})"'
    address = f"{stack.url}{API_PREFIX}/sessions/{stack.session_id}/turns"
    say(console_line(stack.url, token))
    say(f"Token    {token_file.short(token)}  ({pantheon} token --show)")
    say(f"Chat     {pantheon} chat")
    say(f"Logs     {pantheon} logs  ({stack.log_dir})")
    say(f"Models   {', '.join(stack.models)}\n")
    json_type = "-H 'Content-Type: application/json'"
    say(f"Try it:\ncurl {address} -H {header} {json_type} -d {shlex.quote(_MESSAGE)}\n")


def console_line(url: str, token: str) -> str:
    """Return the line with the console's address. A browser does not send the fragment with the token."""
    return f"Console  {url}/console/#token={token}"


def _program() -> str:
    """Return the command with which the user calls this program from the same folder."""
    called = Path(sys.argv[0])
    if called.name != "pantheon" or shutil.which("pantheon") == str(called):
        return "pantheon"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)


def _nothing(_: str) -> None:
    pass


def say(line: str) -> None:
    print(line, flush=True)
