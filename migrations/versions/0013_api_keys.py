"""Add API keys, the role that looks them up, and the key that posted a turn.

The release before does not use the table, and leaves `turns.api_key_id` NULL.
"""

from alembic import op

revision = "0013"
down_revision = "0012"

# After its transaction, a custom setting reads as '' instead of NULL.
TENANT = "nullif(current_setting('app.tenant_id', true), '')"
PRESENTED = "decode(nullif(current_setting('app.key_hash', true), ''), 'hex')"

# Users' text and key hashes: ANALYZE keeps no samples of them.
UNSAMPLED = ("name", "key_hash")
# The application never reads a hash, and never writes the times of creation and use.
APP_READS = "id, tenant_id, name, role, prefix, created_by, created_at, expires_at, last_used_at, revoked_at"
APP_INSERTS = "id, tenant_id, name, role, prefix, key_hash, created_by, expires_at"
AUTH_READS = "id, tenant_id, role, key_hash, created_by, expires_at, last_used_at, revoked_at"


def upgrade() -> None:
    # Roles belong to the cluster, and another database's upgrade may create this one now.
    op.execute("""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pantheon_auth') THEN
                CREATE ROLE pantheon_auth LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END $$""")
    op.execute("""
        CREATE TABLE api_keys (
            id uuid PRIMARY KEY,
            tenant_id text NOT NULL,
            name text NOT NULL,
            role text NOT NULL,
            prefix text NOT NULL,
            key_hash bytea NOT NULL,
            created_by text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            expires_at timestamptz,
            last_used_at timestamptz,
            revoked_at timestamptz,
            CONSTRAINT api_keys_role_check CHECK (role IN ('member', 'admin')),
            CONSTRAINT api_keys_prefix_check CHECK (prefix ~ '^pan_[0-9A-Za-z]{8}$'),
            CONSTRAINT api_keys_key_hash_check CHECK (octet_length(key_hash) = 32),
            CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash)
        )""")
    op.execute("CREATE INDEX api_keys_tenant_id_id_idx ON api_keys (tenant_id, id)")
    # A member lists its own keys, however many the tenant has.
    op.execute("CREATE INDEX api_keys_created_by_idx ON api_keys (tenant_id, created_by, id)")
    for column in UNSAMPLED:
        op.execute(f"ALTER TABLE api_keys ALTER COLUMN {column} SET STATISTICS 0")
    op.execute("ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE api_keys FORCE ROW LEVEL SECURITY")
    owned = f"tenant_id = {TENANT}"
    op.execute(f"CREATE POLICY tenant ON api_keys TO pantheon_app USING ({owned}) WITH CHECK ({owned})")
    op.execute(f"GRANT SELECT ({APP_READS}), INSERT ({APP_INSERTS}), UPDATE (revoked_at) ON api_keys TO pantheon_app")
    presented = f"key_hash = {PRESENTED}"
    op.execute(f"CREATE POLICY presented ON api_keys TO pantheon_auth USING ({presented}) WITH CHECK ({presented})")
    op.execute(f"GRANT SELECT ({AUTH_READS}), UPDATE (last_used_at) ON api_keys TO pantheon_auth")
    _in_this_database("SET transaction_timeout = ''1min''")
    # No foreign key: each turn would lock its key's row, and keys are removed before turns.
    op.execute("ALTER TABLE turns ADD COLUMN api_key_id uuid")


def _in_this_database(setting: str) -> None:
    """Set the role's setting for this database only, because roles belong to the cluster."""
    op.execute(f"""
        DO $$ BEGIN
            EXECUTE format('ALTER ROLE pantheon_auth IN DATABASE %I {setting}', current_database());
        END $$""")


def downgrade() -> None:
    # The role stays: it belongs to the cluster, where another database may use it.
    _in_this_database("RESET transaction_timeout")
    op.execute("ALTER TABLE turns DROP COLUMN api_key_id")
    op.execute("DROP TABLE api_keys")
