"""Read a stage's agents, councils and models over HTTP, and write one entry."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local.deployment import Deployment, DeploymentError
from local.roster import toml
from local.roster.entries import Change, Place, Stage, Stored
from shared.roster.file import KEY, TABLES


def read_entries(deployment: Deployment) -> dict[Place, Stored]:
    """Return the agents and councils of the caller's tenant, sorted by key. Raises DeploymentError."""
    with _understood(deployment):
        found = [(_place(group, item), _stored(group, item)) for group in TABLES for item in deployment.items(group)]
        return dict(sorted(found, key=lambda entry: entry[0]))


def read_stage(deployment: Deployment) -> Stage:
    """Read the models and entries. Raises DeploymentError."""
    with _understood(deployment):
        # This list has one page and no parameter `limit`.
        models = deployment.ask("GET", "models")["items"]
        caps = {str(model["alias"]): int(model["max_output_tokens"]) for model in models}
    return Stage(read_entries(deployment), caps)


def read_one(deployment: Deployment, place: Place) -> Stored | None:
    """Return the current entry, None if there is none. Raises DeploymentError."""
    try:
        with _understood(deployment):
            return _stored(place.group, deployment.ask("GET", place.path))
    except DeploymentError as error:
        if error.status == 404:
            return None
        raise


def write(deployment: Deployment, change: Change) -> int:
    """Write the entry, and return its version. Raises DeploymentError, also if the entry has changed since its read."""
    place, body = change.place, dict(change.new)
    if change.old is None:
        # PUT would overwrite an entry that another user has made since the read.
        answer = deployment.ask("POST", place.group, {"key": place.key, **body})
    else:
        answer = deployment.ask("PUT", place.path, body, change.old.version)
    with _understood(deployment):
        return int(answer["version"])


@contextmanager
def _understood(deployment: Deployment) -> Iterator[None]:
    """Turn an answer without the expected fields into a DeploymentError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise deployment.mistaken() from error


def _place(group: str, item: dict[str, Any]) -> Place:
    """Check the key of an entry. Raises ValueError, because an export writes the key into TOML unescaped."""
    if not KEY.fullmatch(item["key"]):
        raise ValueError(item["key"])
    return Place(group, item["key"])


def _stored(group: str, item: dict[str, Any]) -> Stored:
    """Read an entry. Raises TypeError for a value that TOML cannot represent."""
    fields = {name: item[name] for name in TABLES[group].model_fields}
    for value in fields.values():
        if value is not None:
            toml.on_one_line(value)
    return Stored(fields, int(item["version"]))
