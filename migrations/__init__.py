"""The schema's migrations. `upgrade` is the one way to migrate a database, locally and on a deploy."""

from pathlib import Path

from alembic import command
from alembic.config import Config

# A migration that waits for a lock blocks every later request for it, so it gives up and is tried again.
LOCK_TIMEOUT = "5s"
# Less than the migrating function's time, so that no statement outlives the function.
STATEMENT_TIMEOUT = "10min"


def config(url: str) -> Config:
    """Return an Alembic configuration for the owner's URL (postgresql://...)."""
    result = Config()
    result.set_main_option("script_location", str(Path(__file__).parent))
    result.attributes["url"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return result


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at the owner's URL to `revision`. Raises errors of Alembic and psycopg."""
    command.upgrade(config(url), revision)
