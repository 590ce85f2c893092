"""The schema's history. `upgrade` is the one way to bring a database to the head, here and on a deploy."""

from pathlib import Path

from alembic import command
from alembic.config import Config

# Whoever waits for a lock keeps everybody waiting who comes after: a migration gives up, and is tried again.
LOCK_TIMEOUT = "5s"
# Less than the function that migrates has: a statement must not go on after who sent it is gone.
STATEMENT_TIMEOUT = "10min"


def config(url: str) -> Config:
    """An Alembic configuration for the owner's URL (postgresql://...)."""
    result = Config()
    result.set_main_option("script_location", str(Path(__file__).parent))
    result.attributes["url"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return result


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at the owner's URL to `revision`. Raises what Alembic or psycopg raise."""
    command.upgrade(config(url), revision)
