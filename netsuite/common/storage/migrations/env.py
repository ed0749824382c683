"""What Alembic runs for every command: here always on a connection, in a transaction, that its caller has begun.

Alembic finds this file and the steps in ``versions`` by their path; nobody imports them, so these folders are no
packages.
"""

from __future__ import annotations

from alembic import context

from netsuite.common.storage.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True)
context.run_migrations()
