"""Alembic's entry point: run the pending migrations in one transaction, one process at a time."""

from alembic import context
from sqlalchemy import Connection, text

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=None, transaction_per_migration=False)
with context.begin_transaction():
    # Two processes that start at once: the second waits here, then finds nothing to do.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('shudao migrations'))"))
    context.run_migrations()
