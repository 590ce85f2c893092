"""Alembic's entry point: one transaction for each migration, and an early end rather than a queue behind a lock."""

from alembic import context
from sqlalchemy import create_engine, pool, text

import migrations


def run() -> None:
    # Whatever PGCLIENTENCODING says.
    utf8 = {"client_encoding": "utf8"}
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool, connect_args=utf8)
    try:
        with engine.connect() as connection:
            with connection.begin():
                connection.execute(text(f"SET lock_timeout = '{migrations.LOCK_TIMEOUT}'"))
                connection.execute(text(f"SET statement_timeout = '{migrations.STATEMENT_TIMEOUT}'"))
            # A transaction for each, so that one of them can leave it: an index is made beside what is going on.
            context.configure(
                connection=connection,
                # Whoever compares the schema with the tables gives them; what is bundled has none.
                target_metadata=context.config.attributes.get("tables"),
                compare_server_default=True,
                transaction_per_migration=True,
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        engine.dispose()


run()
