"""Tests rolling up: an hour is closed completely or not at all, once no transaction can post into it."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.db.engine import Database, Row
from shared.db.usage.roll_up import SETTLED_AFTER, roll_up
from shared.errors import DatabaseUnavailable
from shared.names import Role
from tests.support.council_room import DEADLINE_S, DatabaseUrls, broken_invariants, wait_for
from tests.support.ledger_rows import entries, entry, hours_ago, insert, insert_as_before

# Posts in no budget, because no turn earned them.
UNPOSTED = {"spent is the sum of the payer's posts and adjustments"}
MINUTES = timedelta(minutes=1)


@pytest.fixture
def ops(database_urls: DatabaseUrls) -> Iterator[Database]:
    database = Database(database_urls.of(Role.OPS))
    yield database
    database.close()


def hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def spans(owner: psycopg.Connection[Row], table: str = "usage_hours") -> list[Row]:
    return owner.execute(f"SELECT * FROM {table} ORDER BY {table}".encode()).fetchall()


def until(owner: psycopg.Connection[Row]) -> datetime | None:
    rows = owner.execute("SELECT until FROM usage_rolled_up").fetchall()
    return rows[0]["until"] if rows else None


def blocked(owner: psycopg.Connection[Row]) -> int:
    """Return the number of connections that wait for a lock."""
    query = "SELECT FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
    return len(owner.execute(query).fetchall())


def test_roll_up_begins_with_the_oldest_hour_and_ends_with_the_last_settled_one(
    owner: psycopg.Connection[Row], ops: Database
) -> None:
    insert(owner, [entry(hours_ago(hours)) for hours in (7.5, 3.2, 3.1, 0.01)])
    settled = hour_of(datetime.now(UTC) - 15 * MINUTES)
    assert roll_up(ops, 1) == hour_of(hours_ago(7.5)) + timedelta(hours=1)
    assert roll_up(ops) == until(owner) == settled
    assert roll_up(ops) is None
    assert [row["start"] for row in spans(owner)] == sorted({hour_of(hours_ago(hours)) for hours in (7.5, 3.2, 3.1)})
    assert sum(row["calls"] for row in spans(owner)) == 3


def test_rows_of_both_releases_become_one_hour_by_reason_user_key_and_provider(
    owner: psycopg.Connection[Row], ops: Database
) -> None:
    at, key = hours_ago(3), UUID(int=1)
    insert(owner, [entry(at, reason=reason) for reason in ("reply", "failed_attempt")])
    insert_as_before(owner, [entry(at), entry(at, user_id="user-2", api_key_id=key), entry(at, purpose="routing")])
    insert_as_before(owner, [entry(at, provider="openai")])
    roll_up(ops)
    names = ("reason", "user_id", "api_key_id", "provider")
    assert {tuple(row[name] for name in names): row["calls"] for row in spans(owner)} == {
        ("reply", "user-1", None, "scripted"): 2,
        ("failed_attempt", "user-1", None, "scripted"): 1,
        ("reply", "user-2", key, "scripted"): 1,
        ("helper", "user-1", None, "scripted"): 1,
        ("reply", "user-1", None, "openai"): 1,
    }


def test_the_release_before_rolls_up_tables_of_its_own(owner: psycopg.Connection[Row], ops: Database) -> None:
    """That release stores no reasons and users for the hours that this release reads."""
    insert(owner, [entry(hours_ago(30))])
    owner.execute("INSERT INTO usage_progress VALUES (true, now())")
    roll_up(ops, 100)
    assert len(spans(owner)) == 1
    assert spans(owner, "usage_hourly") == spans(owner, "usage_daily") == []


def test_the_longest_ids_fit_into_an_hour(owner: psycopg.Connection[Row], ops: Database) -> None:
    """An index takes no key of more than 2,704 bytes, and a longer one would stop all tenants' hours."""
    chance = random.Random(1)
    tenant_id, user_id = ("".join(chr(chance.randrange(0x20000, 0x2A000)) for _ in range(255)) for _ in range(2))
    insert(owner, [entry(hours_ago(30), tenant_id, user_id=user_id, api_key_id=uuid4(), agent_key="a" * 64)])
    roll_up(ops, 100)
    for table in ("usage_hours", "usage_days"):
        assert [row["user_id"] for row in spans(owner, table)] == [user_id]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_roll_up_begins_now_with_an_empty_ledger(
    owner: psycopg.Connection[Row], database_urls: DatabaseUrls, zone: str
) -> None:
    """The first hour is one of UTC in any time zone of the session."""
    database = Database(database_urls.of(Role.OPS) + f"?options=-cTimeZone%3D{zone}")
    assert roll_up(database) is None
    database.close()
    assert until(owner) == hour_of(datetime.now(UTC) - 15 * MINUTES)


@pytest.mark.parametrize("role", Role)
def test_no_transaction_that_posts_outlasts_an_hour_that_is_settled(database_urls: DatabaseUrls, role: Role) -> None:
    """Five minutes remain for a server that is slow to end a transaction."""
    with psycopg.connect(database_urls.of(role)) as connection:
        longest = "make_interval(secs => setting::int / 1000.0)"
        query = f"""SELECT setting::int > 0 AND {longest} + interval '5 minutes' <= {SETTLED_AFTER}
            FROM pg_settings WHERE name = 'transaction_timeout' AND unit = 'ms'"""
        assert connection.execute(query.encode()).fetchall() == [(True,)]


def test_the_server_ends_a_transaction_that_takes_too_long(database_urls: DatabaseUrls) -> None:
    """The server's setting also ends statements outside BEGIN."""
    with psycopg.connect(database_urls.of(Role.APP), autocommit=True) as connection:
        connection.execute("SET transaction_timeout = '20ms'")
        with pytest.raises(psycopg.OperationalError), connection.pipeline():
            connection.execute("SELECT pg_sleep(60)")


def test_days_are_made_of_their_hours_once_they_are_over(owner: psycopg.Connection[Row], ops: Database) -> None:
    insert(owner, entries(3, 300, hours_ago(70), hours_ago(1), ("tenant-1", "tenant-2")))
    today = hour_of(hours_ago(0.25)).replace(hour=0)
    while roll_up(ops, 1):
        assert broken_invariants(owner).keys() <= UNPOSTED
    days = {row["start"] for row in spans(owner, "usage_days")}
    assert days == {row["start"].replace(hour=0) for row in spans(owner)} - {today}
    assert len(days) in (2, 3)


def test_a_session_in_another_zone_rolls_up_the_same(
    owner: psycopg.Connection[Row], ops: Database, database_urls: DatabaseUrls
) -> None:
    """On Lord Howe hours begin at half past, and this Sunday had 23 and a half of them."""
    insert(owner, entries(4, 300, datetime(2024, 10, 4, 13, tzinfo=UTC), datetime(2024, 10, 8, tzinfo=UTC)))
    roll_up(ops, 72)
    expected = spans(owner), spans(owner, "usage_days"), until(owner)
    owner.execute("DELETE FROM usage_rolled_up")
    elsewhere = Database(database_urls.of(Role.OPS) + "?options=-cTimeZone%3DAustralia/Lord_Howe")
    roll_up(elsewhere, 72)
    elsewhere.close()
    assert (spans(owner), spans(owner, "usage_days"), until(owner)) == expected
    assert len({row["start"] for row in expected[1]}) == 3


def test_rows_beyond_the_mark_are_made_again(owner: psycopg.Connection[Row], ops: Database) -> None:
    insert(owner, entries(6, 200, hours_ago(60), hours_ago(1)))
    roll_up(ops, 100)
    expected = spans(owner), spans(owner, "usage_days")
    owner.execute("UPDATE usage_hours SET calls = 99")
    owner.execute("UPDATE usage_days SET calls = 99")
    owner.execute("DELETE FROM usage_rolled_up")
    roll_up(ops, 1)
    assert not [row for row in spans(owner) + spans(owner, "usage_days") if row["calls"] == 99]
    roll_up(ops, 100)
    assert (spans(owner), spans(owner, "usage_days")) == expected


@pytest.mark.parametrize(
    "change", ["reason = 'review'", "user_id = 'user-2'", "api_key_id = gen_random_uuid()", "provider = 'openai'"]
)
@pytest.mark.parametrize("table", ["usage_hours", "usage_days"])
def test_a_sum_of_another_reason_user_key_or_provider_breaks_the_invariant(
    owner: psycopg.Connection[Row], ops: Database, table: str, change: str
) -> None:
    insert(owner, [entry(hours_ago(30))])
    roll_up(ops, 100)
    assert "what is rolled up is what the ledger says" not in broken_invariants(owner)
    owner.execute(f"UPDATE {table} SET {change}".encode())
    assert "what is rolled up is what the ledger says" in broken_invariants(owner)


def test_two_roll_ups_at_once_take_turns(
    owner: psycopg.Connection[Row], ops: Database, database_urls: DatabaseUrls
) -> None:
    insert(owner, entries(7, 50, hours_ago(5.5), hours_ago(1.5)))
    roll_up(ops, 1)
    other = Database(database_urls.of(Role.OPS))
    with psycopg.connect(database_urls.owner) as lock, ThreadPoolExecutor() as pool:
        lock.execute("SELECT FROM usage_rolled_up FOR UPDATE")
        both = [pool.submit(roll_up, database, 2) for database in (ops, other)]
        wait_for(lambda: blocked(owner) == 2)
        lock.rollback()
        reached = {future.result(DEADLINE_S) for future in both}
    other.close()
    assert max(filter(None, reached)) == until(owner)
    roll_up(ops)
    assert "what is rolled up is what the ledger says" not in broken_invariants(owner)
    assert sum(row["calls"] for row in spans(owner)) == sum(
        row["calls"] for row in owner.execute("SELECT count(*) AS calls FROM usage_ledger WHERE kind = 'post'")
    )


def test_interrupted_roll_up_leaves_nothing(
    owner: psycopg.Connection[Row], ops: Database, database_urls: DatabaseUrls
) -> None:
    insert(owner, entries(8, 50, hours_ago(5.5), hours_ago(1.5)))
    roll_up(ops, 1)
    before = until(owner), spans(owner)
    with psycopg.connect(database_urls.owner) as lock, ThreadPoolExecutor() as pool:
        # The rows are written, and the update of `until` fails.
        lock.execute("LOCK TABLE usage_days IN SHARE MODE")
        future = pool.submit(roll_up, ops)
        wait_for(lambda: blocked(owner))
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (Role.OPS,))
        with pytest.raises(DatabaseUnavailable):
            future.result(DEADLINE_S)
    assert (until(owner), spans(owner)) == before
    roll_up(ops)
    assert "what is rolled up is what the ledger says" not in broken_invariants(owner)


@pytest.mark.parametrize("table", ["usage_ledger", "usage_hours", "usage_rolled_up"])
def test_roll_up_leaves_the_hour_for_later_when_a_table_is_locked(
    owner: psycopg.Connection[Row], ops: Database, database_urls: DatabaseUrls, table: str
) -> None:
    insert(owner, entries(9, 50, hours_ago(5.5), hours_ago(1.5)))
    roll_up(ops, 1)
    before = until(owner), spans(owner)
    # If it waited, the server would have to end the table's holder first.
    holds = "-c idle_in_transaction_session_timeout=20s"
    with psycopg.connect(database_urls.owner, options=holds) as busy:
        busy.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        with pytest.raises(DatabaseUnavailable):
            roll_up(ops, patience_s=0.05)
    assert (until(owner), spans(owner)) == before
    assert roll_up(ops) is not None
