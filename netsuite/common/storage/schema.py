"""The tables of the site's database, the same in SQLite and PostgreSQL.

They change only together with a migration in :mod:`netsuite.common.storage.migrations`; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Float, Integer, LargeBinary, MetaData, Table, Text

__all__ = ["HEAD", "METADATA", "users"]

HEAD: Final = "0001"
"""The newest migration."""

METADATA: Final = MetaData()

users: Final = Table(
    "users",
    METADATA,
    Column("account", Text, primary_key=True),  # the canonical address
    Column("verifier", Text, nullable=False),  # argon2id, in its usual text form
    Column("scram_salt", LargeBinary, nullable=False),
    Column("scram_iterations", Integer, nullable=False),
    Column("scram_stored_key", LargeBinary, nullable=False),
    Column("scram_server_key", LargeBinary, nullable=False),
    Column("created", Float, nullable=False),  # seconds since the epoch
    Column("changed", Float, nullable=False),  # when the password was
    Column("disabled", Boolean, nullable=False),
)
"""Who may log in; passwords themselves are not kept."""
