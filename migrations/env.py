"""Alembic's entry point: one transaction for each migration, and short timeouts for locks."""

from alembic import context
from sqlalchemy import create_engine, pool, text

import migrations


def run() -> None:
    # Override PGCLIENTENCODING.
    utf8 = {"client_encoding": "utf8"}
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool, connect_args=utf8)
    try:
        with engine.connect() as connection:
            with connection.begin():
                connection.execute(text(f"SET lock_timeout = '{migrations.LOCK_TIMEOUT}'"))
                connection.execute(text(f"SET statement_timeout = '{migrations.STATEMENT_TIMEOUT}'"))
            # One transaction each, so that a migration can leave it to build an index concurrently.
            context.configure(
                connection=connection,
                # Given by the comparison of schema and tables. The bundle has none.
                target_metadata=context.config.attributes.get("tables"),
                compare_server_default=True,
                transaction_per_migration=True,
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        engine.dispose()


run()
