"""The schema's history. `upgrade` is the one way to bring a database to the head, here and on a deploy."""

from pathlib import Path

from alembic import command
from alembic.config import Config


def config(url: str) -> Config:
    """An Alembic configuration for the owner's URL (postgresql://...)."""
    result = Config()
    result.set_main_option("script_location", str(Path(__file__).parent))
    result.attributes["url"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return result


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at the owner's URL to `revision`. Raises what Alembic or psycopg raise."""
    command.upgrade(config(url), revision)
