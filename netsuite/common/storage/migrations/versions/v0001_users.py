"""The first table: who may log in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "users",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("verifier", sa.Text, nullable=False),
        sa.Column("scram_salt", sa.LargeBinary, nullable=False),
        sa.Column("scram_iterations", sa.Integer, nullable=False),
        sa.Column("scram_stored_key", sa.LargeBinary, nullable=False),
        sa.Column("scram_server_key", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("changed", sa.Float, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
    )
