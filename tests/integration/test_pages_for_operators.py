"""The SQL of the pages for operators runs as `pantheon_ops`."""

import re
from pathlib import Path

import psycopg
import pytest

from shared.names import Role
from tests.support.council_room import DatabaseUrls

DOCS = Path(__file__).parents[2] / "docs"
STATEMENTS = [
    pytest.param(sql, id=f"{page.stem}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, sql in enumerate(re.findall(r"^```sql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
]


def test_pages_have_sql() -> None:
    assert len(STATEMENTS) >= 3


@pytest.mark.parametrize("sql", STATEMENTS)
def test_sql_of_a_page_runs_as_the_role_for_operations(database_urls: DatabaseUrls, sql: str) -> None:
    with psycopg.connect(database_urls.of(Role.OPS)) as connection:
        connection.execute(sql.encode())
        connection.rollback()
