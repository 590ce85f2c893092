"""Store which users of a tenant see a session.

Existing sessions, and those of the release before, stay visible to the whole tenant.
"""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("ALTER TABLE sessions ADD COLUMN visibility text NOT NULL DEFAULT 'tenant'")
    op.execute("""
        -- squawk-ignore constraint-missing-not-valid
        ALTER TABLE sessions ADD CONSTRAINT sessions_visibility_check CHECK (visibility IN ('private', 'tenant'))""")


def downgrade() -> None:
    op.execute("ALTER TABLE sessions DROP COLUMN visibility")
