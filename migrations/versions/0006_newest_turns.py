"""The rate's reading of a tenant's newest turns: an index and a function that nothing else is read by."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # The policies compare tenant_id in its own collation, so no statement is given this index because of them; the one
    # before read a whole tenant where its statistics promised a few rows.
    op.execute(
        "-- squawk-ignore require-concurrent-index-creation\n"
        """CREATE INDEX turns_newest_of_tenant_idx ON turns (tenant_id COLLATE "C", created_at)"""
    )
    op.execute("-- squawk-ignore require-concurrent-index-deletion\nDROP INDEX turns_tenant_id_created_at_idx")
    # Left to itself the planner reads the whole minute and sorts it, where it expects few turns in it. In these
    # settings the order can only come from the index, which is left at the n-th.
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
