"""Read a tenant's newest turns for the rate limit with an index and a function of its own."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # The policies compare tenant_id in its own collation, so no other statement uses this index. The index before was
    # used to read a whole tenant when statistics promised few rows.
    op.execute(
        "-- squawk-ignore require-concurrent-index-creation\n"
        """CREATE INDEX turns_newest_of_tenant_idx ON turns (tenant_id COLLATE "C", created_at)"""
    )
    op.execute("-- squawk-ignore require-concurrent-index-deletion\nDROP INDEX turns_tenant_id_created_at_idx")
    # If the planner expects few turns, it reads and sorts the whole minute. With these settings it must read the index
    # in order, and stops at the n-th row.
    op.execute("""
        CREATE FUNCTION nth_newest_turn_at(tenant text, since timestamptz, n integer) RETURNS timestamptz
        LANGUAGE sql STABLE
        SET enable_sort = off
        SET enable_bitmapscan = off
        SET enable_seqscan = off
        RETURN (
            SELECT created_at FROM turns WHERE tenant_id = tenant COLLATE "C" AND created_at > since
            ORDER BY created_at DESC LIMIT 1 OFFSET n - 1)""")


def downgrade() -> None:
    op.execute("DROP FUNCTION nth_newest_turn_at")
    op.execute("CREATE INDEX turns_tenant_id_created_at_idx ON turns (tenant_id, created_at)")
    op.execute("DROP INDEX turns_newest_of_tenant_idx")
