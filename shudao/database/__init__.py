"""Access to TimescaleDB: connections, and the errors that a user can act on."""

from __future__ import annotations

from shudao.database.connect import AWAY, connect, create_pool, explain_failure

__all__ = ["AWAY", "connect", "create_pool", "explain_failure"]
