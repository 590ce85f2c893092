"""Write a tenant's agents and councils to any deployment from a file, or back, for `pantheon apply` and `export`."""

import argparse
import io
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from local import deployment

_LAYOUT: Final = argparse.RawDescriptionHelpFormatter
_EXAMPLE: Final = """example:
  cat > roster.toml <<'END'
  [agents.historian]
  name = "Historian"
  role_prompt = "You tell what happened, and when."
  model_alias = "fast"
  END
  pantheon apply roster.toml --dry-run
  pantheon apply roster.toml

Write "" for max_output_tokens, temperature or chair_key to remove its value.
exit codes: 0 success; 1 failure, and all writes were undone unless a line says otherwise; 2 a difference, with
--dry-run --exit-code"""
_EXPORT_EXAMPLE: Final = """example:
  pantheon export > roster.toml
  pantheon apply roster.toml --dry-run"""
DIFFERENT: Final = 2
_Say = Callable[[str], None]
_Interrupt = Callable[[int, object], NoReturn]


def add_parsers(commands: Any) -> None:
    apply = commands.add_parser(
        "apply",
        help="write the agents and councils of a file to a deployment",
        description="Compare the tables [agents.KEY] and [councils.KEY] of a TOML file with a deployment, print the\n"
        "differences, and write all or none of them. Entries and fields that the file leaves out do not change.",
        epilog=_EXAMPLE,
        formatter_class=_LAYOUT,
    )
    apply.add_argument("file", type=Path, metavar="FILE", help="the roster, in TOML")
    apply.add_argument("--dry-run", action="store_true", help="print the differences, and change nothing")
    apply.add_argument(
        "--exit-code", action="store_true", help=f"with --dry-run: exit with {DIFFERENT} if there is a difference"
    )
    export = commands.add_parser(
        "export",
        help="print the agents and councils of a deployment as a file for apply",
        description="Print the agents and councils of your tenant as TOML. Applying it again changes nothing.",
        epilog=_EXPORT_EXAMPLE,
        formatter_class=_LAYOUT,
    )
    for command in (apply, export):
        deployment.add_options(command)


def run(given: argparse.Namespace, environ: Mapping[str, str], say: _Say, interrupt: _Interrupt) -> int:
    """Run the command, and return the exit code. Raises DeploymentError."""
    # `pantheon token` imports this module and must start fast.
    from local.roster.entries import RosterError

    if given.command == "export":
        _export(given, environ)
        return 0
    # `interrupt` raises KeyboardInterrupt, and the writes so far are undone.
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The terminal's encoding may lack characters of the stage's texts.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _apply(given, environ, say)
    except RosterError as error:
        print(*error.lines, sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _apply(given: argparse.Namespace, environ: Mapping[str, str], say: _Say) -> int:
    from local.roster.entries import RosterError
    from local.roster.file import read_fields
    from local.roster.plan import make_plan
    from local.roster.report import counts, diff_lines
    from local.roster.stage import read_stage
    from local.roster.writing import write_all

    if given.exit_code and not given.dry_run:
        raise RosterError("pantheon: --exit-code needs --dry-run.")
    named = read_fields(given.file)
    with deployment.connect(given, environ) as there:
        plan = make_plan(given.file, named, read_stage(there))
        for line in diff_lines(plan):
            say(line)
        if given.dry_run:
            say(f"Dry run at {there.url}: {counts(plan)}. Nothing was changed.")
            return DIFFERENT if given.exit_code and plan.changes else 0
        write_all(there, plan.changes, say)
        say(f"Applied at {there.url}: {counts(plan)}.")
    return 0


def _export(given: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Print the roster as UTF-8, independent of the terminal's encoding."""
    from local.roster import toml
    from local.roster.stage import read_entries

    with deployment.connect(given, environ) as there:
        entries = read_entries(there)
    text = toml.document({f"{place.group}.{place.key}": stored.fields for place, stored in entries.items()})
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
