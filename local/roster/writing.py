"""Write a plan to a stage completely, or undo all of it and report the state of each entry."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from local.deployment import Deployment, DeploymentError
from local.roster.entries import Change, Stored
from local.roster.stage import read_one, write

Say = Callable[[str], None]
_RACE: Final = "Another user changed it since it was read. Run the command again."
# By the status of a refused write.
_HINTS: Final = {
    403: "Use an admin's token, or a key that was made with --role admin.",
    409: _RACE,
    412: _RACE,
}


def write_all(deployment: Deployment, changes: Sequence[Change], say: Say) -> None:
    """Write the changes in their order. After a failure or KeyboardInterrupt, undo the writes and raise it."""
    written: dict[Change, int] = {}
    change: Change | None = None
    try:
        for change in changes:
            written[change] = _write_surely(deployment, change)
    except (DeploymentError, KeyboardInterrupt) as error:
        if change is None:
            raise
        unanswered = change not in written and not (isinstance(error, DeploymentError) and error.is_refusal)
        # Undo everything before the first line is printed, because printing can fail.
        for line in list(_put_back(deployment, written, change if unanswered else None)):
            say(line)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise DeploymentError(_failure(change, error), error.status) from error


def _write_surely(deployment: Deployment, change: Change) -> int:
    """Write the entry, and retry once without an answer. Raises DeploymentError."""
    try:
        return write(deployment, change)
    except DeploymentError as error:
        if error.is_refusal:
            raise
    try:
        return write(deployment, change)
    except DeploymentError as error:
        # The first attempt succeeded.
        if error.status in (409, 412) and (version := _version_of_ours(deployment, change)):
            return version
        raise


def _version_of_ours(deployment: Deployment, change: Change) -> int | None:
    """Return the entry's version if it has the fields of the change. Raises DeploymentError."""
    now = read_one(deployment, change.place)
    return now.version if now is not None and now.fields == change.new else None


def _failure(change: Change, error: DeploymentError) -> str:
    hint = _HINTS.get(error.status or 0)
    return f"{change.place} {error}{f' {hint}' if hint else ''}"


def _put_back(deployment: Deployment, written: Mapping[Change, int], unanswered: Change | None) -> Iterator[str]:
    """Undo every write, the last one first. Yield a line for each entry."""
    if unanswered is not None:
        yield _put_back_unanswered(deployment, unanswered)
    for change, version in reversed(list(written.items())):
        yield _put_back_one(deployment, change, version)
    if not written:
        yield "No other entry was written."


def _put_back_unanswered(deployment: Deployment, change: Change) -> str:
    """Undo a write without an answer, which may have succeeded or may still wait for the tenant's lock."""
    # The lock serialises the writes of a tenant, so the first attempt is over when this one is answered.
    with suppress(DeploymentError):
        write(deployment, change)
    try:
        version = _version_of_ours(deployment, change)
    except DeploymentError as error:
        return f"{change.place} IS UNKNOWN: its write had no answer, and it cannot be read: {error}"
    return f"{change.place} was not written." if version is None else _put_back_one(deployment, change, version)


def _put_back_one(deployment: Deployment, change: Change, version: int) -> str:
    try:
        if change.old is not None:
            put = deployment.ask("PUT", change.place.path, dict(change.old.fields), version)
            return f"{change.place} is as it was before, now as version {put['version']}."
        now = read_one(deployment, change.place)
        # DELETE has no If-Match, so check first that nobody has changed the entry.
        if now is not None and now.version == version:
            deployment.ask("DELETE", change.place.path)
        return _found(change, version, read_one(deployment, change.place), "")
    except DeploymentError as error:
        return _after_failure(deployment, change, version, error)


def _after_failure(deployment: Deployment, change: Change, version: int, error: DeploymentError) -> str:
    try:
        return _found(change, version, read_one(deployment, change.place), f" {error}")
    except DeploymentError:
        return f"{change.place} IS UNKNOWN: it was written as version {version}, and undoing it failed: {error}"


def _found(change: Change, version: int, now: Stored | None, why: str) -> str:
    """Return a line about an entry that was read after an attempt to undo its write."""
    if now is None:
        return f"{change.place} is deleted{' again' if change.old is None else ': another user deleted it'}."
    if change.old is not None and now.fields == change.old.fields:
        return f"{change.place} is as it was before, now as version {now.version}."
    if now.version == version:
        return f"{change.place} STAYS AS WRITTEN, as version {version}.{why}"
    return f"{change.place} STAYS as another user changed it since this write, as version {now.version}."
