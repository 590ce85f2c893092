"""Delete names and hashes of conversations with their sessions, and index lists without hidden sessions.

Triggers delete them, so that the release before does so too. It still reads sessions by
`sessions_living_of_tenant_idx`.
"""

from alembic import op

revision = "0020"
down_revision = "0019"

# Hashes of texts. A short text can be guessed and confirmed by its hash.
HASHES = ("past_before", "past_after", "request_hash")
HASHED = " OR ".join(f"{name} IS NOT NULL" for name in HASHES)
ENDED = "deleted_at IS NOT NULL AND status NOT IN ('accepted', 'running')"
# The living sessions of a tenant in each index.
LIVING = {"sessions_counted_of_tenant_idx": "origin = 'api'", "sessions_listed_of_tenant_idx": "origin <> 'call'"}


def upgrade() -> None:
    op.execute("CREATE INDEX conversations_session_id_idx ON conversations (session_id)")
    op.execute("CREATE POLICY operations ON conversations TO pantheon_ops USING (true) WITH CHECK (true)")
    op.execute("GRANT DELETE ON conversations TO pantheon_app")
    op.execute("GRANT SELECT (session_id), DELETE ON conversations TO pantheon_ops")
    # Adding a virtual column does not rewrite the table.
    added = f"ADD COLUMN has_hashes boolean GENERATED ALWAYS AS ({HASHED}) VIRTUAL"
    op.execute(f"-- squawk-ignore adding-field-with-default\nALTER TABLE turns {added}")
    op.execute("GRANT SELECT (has_hashes) ON turns TO pantheon_ops")
    for name, origin in LIVING.items():
        # The policies do not compare in this collation.
        which = f"deleted_at IS NULL AND {origin}"
        op.execute(f'CREATE INDEX {name} ON sessions (tenant_id COLLATE "C") WHERE {which}')
    _forget_names()
    _forget_hashes()
    _forget_what_is_left()


def _forget_names() -> None:
    op.execute("""
        CREATE FUNCTION forget_names() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
        BEGIN
            DELETE FROM public.conversations WHERE session_id = NEW.id;
            RETURN NULL;
        END $$""")
    op.execute("""
        CREATE TRIGGER sessions_forget_names AFTER UPDATE OF deleted_at ON sessions FOR EACH ROW
        WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL AND NEW.origin = 'chat')
        EXECUTE FUNCTION forget_names()""")


def _forget_hashes() -> None:
    """Delete hashes when `message` is set, as deleting a session and publishing a turn do. An active turn keeps its
    hash, by which its request is found."""
    cleared = " ".join(f"NEW.{name} := NULL;" for name in HASHES)
    op.execute(f"""
        CREATE FUNCTION forget_hashes() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
        BEGIN
            {cleared}
            RETURN NEW;
        END $$""")
    op.execute("""
        CREATE TRIGGER turns_forget_hashes BEFORE UPDATE OF message ON turns FOR EACH ROW
        WHEN (NEW.deleted_at IS NOT NULL AND NEW.status NOT IN ('accepted', 'running')
            AND (NEW.past_before IS NOT NULL OR NEW.past_after IS NOT NULL OR NEW.request_hash IS NOT NULL))
        EXECUTE FUNCTION forget_hashes()""")


def _forget_what_is_left() -> None:
    """Delete names and hashes that the release before has kept. Forced row-level security hides all rows from the
    owner."""
    tables = ("sessions", "turns", "conversations")
    for table in tables:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    living = "SELECT FROM sessions s WHERE s.id = c.session_id AND s.deleted_at IS NULL"
    op.execute(f"DELETE FROM conversations c WHERE NOT EXISTS ({living})")  # noqa: S608
    cleared = ", ".join(f"{name} = NULL" for name in HASHES)
    # Each hash of a conversation is in a row with a request's hash, which is indexed.
    op.execute(f"UPDATE turns SET {cleared} WHERE request_hash IS NOT NULL AND {ENDED}")  # noqa: S608
    for table in tables:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP TRIGGER turns_forget_hashes ON turns")
    op.execute("DROP TRIGGER sessions_forget_names ON sessions")
    op.execute("DROP FUNCTION forget_hashes")
    op.execute("DROP FUNCTION forget_names")
    for name in LIVING:
        op.execute(f"DROP INDEX {name}")
    op.execute("ALTER TABLE turns DROP COLUMN has_hashes")
    op.execute("REVOKE SELECT (session_id), DELETE ON conversations FROM pantheon_ops")
    op.execute("REVOKE DELETE ON conversations FROM pantheon_app")
    op.execute("DROP POLICY operations ON conversations")
    op.execute("DROP INDEX conversations_session_id_idx")
