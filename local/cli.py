"""Parse the arguments of `pantheon` and run its commands.

An expected error is one line on standard error and an exit code other than 0.
"""

import argparse
import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NoReturn

from local import chat, deployment, interrupt, keys, models, roster, run, token_file
from local.logs import parser as logs_parser
from shared import variables
from shared.commit import checked_out
from shared.errors import ConfigurationError
from shared.names import VERSION

_SYSTEMS: Final = ("linux", "darwin")
_ROLES: Final = ("member", "admin", "operator")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_OPERATIONS: Final = """environment:
  PANTHEON_OPS_DATABASE_URL  URL of the database for the role pantheon_ops; unset: the database of `pantheon run`"""
_RECORD: Final = f"""a line of the record:
  {{"call_id": "...", "billed": true, "tokens": {{"input_tokens": 12, "output_tokens": 3}}}}
  Further tokens: cache_read_tokens, cache_write_tokens, reasoning_tokens. Count each token once.
  cache_write_1h_tokens: the part of cache_write_tokens that is kept for an hour.

{_OPERATIONS}"""


def main() -> int:
    """Run one command, and return its exit code."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.command == "token" and not arguments.show and not (arguments.tenant and arguments.user):
        parser.error("token needs --tenant and --user, or --show")
    if sys.platform not in _SYSTEMS:
        return _fail(ConfigurationError(f"Pantheon runs on Linux and macOS, and this is {sys.platform}."))
    # Other users of this machine must not read the files of a command.
    os.umask(0o077)
    try:
        variables.check(os.environ)
    except ConfigurationError as error:
        return _fail(error)
    with_arguments = {"token": _token, "reconcile": _reconcile, "keys": _keys, "models": _models}
    with_arguments |= {"run": _run, "logs": _logs, "chat": _chat}
    with_arguments |= {"cost": _figures, "status": _figures, "apply": _roster, "export": _roster}
    if arguments.command in with_arguments:
        return with_arguments[arguments.command](arguments)
    return {"doctor": _doctor, "psql": _psql}[arguments.command]()


class _Version(argparse.Action):
    """Ask git for the commit only when --version needs it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        commit = checked_out(Path(__file__).parents[1])
        print(f"pantheon {VERSION}" + (f" ({commit})" if commit else ""))
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pantheon", description="Pantheon on this machine: a council of LLM agents behind an HTTP API."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the release and its commit, and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    run.add_parser(commands)
    chat.add_parser(commands)
    logs_parser.add_parser(commands)
    _add_operation(
        commands,
        "doctor",
        "check the invariants of the stored data, and the access rights of the files",
        "Check the stored data against every invariant, whether `pantheon run` is running or not, and check that its "
        "files are closed to other users. Shows at most five faults of each. The exit code is 1 if there is a fault.",
    )
    _add_operation(
        commands,
        "cost",
        "print the cost of this month so far, by account, reason, provider, alias and purpose",
        "Print the cost of this month so far for all tenants: by account, reason, provider, alias and purpose, with "
        "tokens and a forecast. The figures are those of the cost dashboard.",
    )
    _add_operation(
        commands,
        "status",
        "print the state of turns, waiting turns and broken invariants",
        "Print the turns of the last 24 hours by status, the waiting turns, and the broken invariants. "
        "The exit code is 1 if an invariant is broken.",
    )
    commands.add_parser(
        "psql",
        help="open psql on the database of `pantheon run`",
        description="Open psql as the owner of the database of `pantheon run`, which must be running.",
    )
    token = commands.add_parser(
        "token",
        help="print a token for the local gateway, and the link to the console",
        description="Print a token for the local gateway, signed with the key of the data directory. Print the link "
        "to the console on standard error.",
    )
    token.add_argument("--show", action="store_true", help="print the complete token of `pantheon run` instead")
    token.add_argument("--tenant", metavar="T", help="the tenant that the token is for")
    token.add_argument("--user", metavar="U", help="the user that the token is for")
    token.add_argument("--role", action="append", choices=_ROLES, help="may be repeated; member if left out")
    token.add_argument(
        "--ttl", type=_duration, default="8h", metavar="D", help="how long it is valid, such as 30m, 8h or 7d (8h)"
    )
    keys.add_parser(commands, _duration)
    models.add_parser(commands)
    roster.add_parsers(commands)
    reconcile = commands.add_parser(
        "reconcile",
        help="settle calls in suspense from a provider's own record",
        description="Read a provider's own record of our calls, and move calls with an unknown outcome from suspense "
        "to their real cost. Reading it again changes nothing.",
        epilog=_RECORD,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reconcile.add_argument("file", type=Path, metavar="FILE", help="the record: a JSON object a line")
    reconcile.add_argument(
        "--provider",
        metavar="NAME",
        help="the provider of the record, by its name in the catalog; calls of other providers do not change",
    )
    reconcile.add_argument("--check", action="store_true", help="print the changes, and change nothing")
    reconcile.add_argument(
        "--silent-after",
        type=_duration,
        default="48h",
        metavar="D",
        help="a call that is not in the record and is older than this costs nothing (48h)",
    )
    return parser


def _add_operation(commands: Any, name: str, short: str, description: str) -> None:
    layout = argparse.RawDescriptionHelpFormatter
    commands.add_parser(name, help=short, description=description, epilog=_OPERATIONS, formatter_class=layout)


def _psql() -> int:
    from local import psql

    try:
        psql.run(os.environ)
    except psql.PSQL_ERRORS as error:
        return _fail(error)


def _doctor() -> int:
    from local.doctor import EXAMINATION_ERRORS, examine

    try:
        return 0 if examine(os.environ, run.say) else 1
    except KeyboardInterrupt:
        return 130
    except EXAMINATION_ERRORS as error:
        return _fail(error)


def _figures(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from local.costs import FIGURES_ERRORS, show_costs, show_status

    console = Console()
    try:
        if arguments.command == "status":
            return 0 if show_status(os.environ, console) else 1
        show_costs(os.environ, console)
    except FIGURES_ERRORS as error:
        return _fail(error)
    return 0


def _keys(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    try:
        keys.run(arguments, Console())
    except deployment.DeploymentError as error:
        return _fail(error)
    return 0


def _roster(arguments: argparse.Namespace) -> int:
    try:
        return roster.run(arguments, os.environ, run.say, interrupt.raise_once)
    except deployment.DeploymentError as error:
        return _fail(error)


def _models(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    try:
        return 0 if models.run(arguments, os.environ, Console()) else 1
    except models.MODELS_ERRORS as error:
        return _fail(error)


def _reconcile(arguments: argparse.Namespace) -> int:
    from local.reconcile import RECONCILE_ERRORS, reconcile_file

    try:
        reconcile_file(
            arguments.file, os.environ, arguments.provider, arguments.silent_after, run.say, check=arguments.check
        )
    except RECONCILE_ERRORS as error:
        return _fail(error)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from local.stack import START_ERRORS

    try:
        return run.run(arguments, os.environ)
    except START_ERRORS as error:
        return _fail(error)


def _logs(arguments: argparse.Namespace) -> int:
    from local.logs.command import LOGS_ERRORS
    from local.logs.command import run as show_logs

    try:
        show_logs(arguments, os.environ, run.say)
    except KeyboardInterrupt:
        return 130
    except LOGS_ERRORS as error:
        return _fail(error)
    return 0


def _chat(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    try:
        return chat.run(arguments, os.environ, Console())
    except KeyboardInterrupt:
        return 130
    except deployment.DeploymentError as error:
        return _fail(error)


def _token(arguments: argparse.Namespace) -> int:
    from local.environment import claim_names, data_dir, operator_role
    from local.gateway.tokens import TokenKey, TokenKeyError

    if arguments.show:
        try:
            run.say(token_file.read(data_dir(os.environ)))
        except token_file.NoToken as error:
            return _fail(error)
        return 0
    try:
        key = TokenKey.load(data_dir(os.environ))
    except TokenKeyError as error:
        return _fail(error)
    roles = [operator_role(os.environ) if role == "operator" else role for role in arguments.role or ["member"]]
    token = key.issue(arguments.tenant, arguments.user, roles, arguments.ttl, claim_names(os.environ))
    run.say(token)
    if url := deployment.local_url(os.environ):
        # Scripts read only the token from standard output.
        print(run.console_line(url, token), file=sys.stderr)
    return 0


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,4})([smhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no duration such as 30m, 8h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _fail(error: Exception) -> int:
    print(f"pantheon: {' '.join(str(error).split())}", file=sys.stderr)
    return 1
