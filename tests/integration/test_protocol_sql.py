"""The `.sql` files against the migrated schema: a wrong table, column or type is found before anything runs."""

from pathlib import Path

import psycopg
import pytest

from shared import db
from shared.db.statement import load, read_sql

FILES = sorted(path.stem for path in (Path(db.__file__).parent / "sql").glob("*.sql"))
PARTS = [(name, part) for name in FILES if "-- part " in read_sql(name) for part in load(name).parts]


@pytest.mark.parametrize(("name", "part"), PARTS, ids=lambda value: getattr(value, "name", value))
def test_postgres_prepares_every_part(owner: psycopg.Connection, name: str, part: object) -> None:
    owner.execute(f"PREPARE part AS {part.text}".encode())  # type: ignore[attr-defined]
    owner.execute("DEALLOCATE part")
