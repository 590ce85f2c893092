"""Lambda entry point of the migration. An exception stops the deployment, and the release before serves on.

Only this function can connect as the database's owner.
"""

from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from functions.start import importing

with importing():
    from migrations.release import MigrationError, bring_up
    from shared import telemetry
    from shared.aws.secrets import Credentials, load_credentials
    from shared.settings import migration_settings


def handler(_event: dict[str, Any], context: Any) -> dict[str, str | None]:
    """Migrate to this release's revision. Return the revisions before and after. The event is ignored."""
    telemetry.begin(context.aws_request_id, context)
    values = migration_settings()
    url = values.owner_database_url
    if values.owner_secret_arn is not None:
        url = _signed_in(url, load_credentials(values.owner_secret_arn))
    try:
        release = bring_up(url, lambda: context.get_remaining_time_in_millis() / 1000)
    except MigrationError as error:
        telemetry.report("migration failed", error)
        raise
    return {"found": release.found, "left": release.left}


def _signed_in(url: str, owner: Credentials) -> str:
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    user = f"{quote(owner.username, safe='')}:{quote(owner.password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{address}"))
