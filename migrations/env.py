"""Alembic's entry point: one transaction for the whole upgrade, and an early end rather than a queue behind a lock."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from shared.db.tables import metadata


def run() -> None:
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text("SET lock_timeout = '5s'"))
            context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
            context.run_migrations()
    finally:
        engine.dispose()


run()
