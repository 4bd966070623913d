"""One connection to the database that is made when it is needed, and made again when it breaks.

What fails temporarily (database away, restarting, silent, deadlock, disk full) is tried again with
growing pauses until it works: whoever waits for it acknowledges nothing meanwhile.

After anything but success the connection is given up. Its state is not known then: of a BEGIN that
is cancelled the server may know and the client not, and what the client takes for its next
transaction would be part of one that nobody commits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import asyncpg
import structlog

log = structlog.get_logger(__name__)

TEMPORARY: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.TransactionRollbackError,  # deadlock, serialisation
    asyncpg.ReadOnlySQLTransactionError,  # a replica that was or is not yet the primary
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,
)
"""Failures that pass by themselves."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
SILENCE_S = 60.0
"""A database that says nothing for so long is taken for away; no statement of a batch takes it."""

Tool = TypeVar("Tool")
Result = TypeVar("Result")


class Link(Generic[Tool]):
    """A connection and the tool that works on it, for one caller at a time.

    Args:
        url: the database.
        make: the tool, from a new connection.
        silence_s: how long a statement may take before the database is taken for away.
    """

    def __init__(
        self,
        url: str,
        make: Callable[[asyncpg.Connection[Any]], Tool],
        *,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._url = url
        self._silence_s = silence_s
        self._make = make
        self._connection: asyncpg.Connection[Any] | None = None
        self._tool: Tool | None = None
        self._one_at_a_time = asyncio.Lock()
        self.answers = True
        """Whether the last attempt succeeded; True before the first."""
        self.was_reached = False

    async def use(self, action: Callable[[Tool], Awaitable[Result]]) -> Result:
        """What ``action`` returns, as often as it takes. Raises what is not temporary."""
        pause = _FIRST_PAUSE_S
        async with self._one_at_a_time:
            while True:
                try:
                    result = await action(await self._ready())
                except TEMPORARY as error:
                    self.answers = False
                    _say(error)
                    await self._abandon()
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE_S)
                except BaseException:
                    await self._abandon()
                    raise
                else:
                    self.answers = self.was_reached = True
                    return result

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            with contextlib.suppress(*TEMPORARY):
                await self._connection.close(timeout=5)
            await self._abandon()

    async def _abandon(self) -> None:
        """Forget a connection in an unknown state."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = self._tool = None

    async def _ready(self) -> Tool:
        if self._connection is None or self._tool is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._url,
                timeout=10,
                command_timeout=self._silence_s,
                # A worker that died must not hold its locks for long.
                server_settings={
                    "application_name": "shudao ingest",
                    "idle_in_transaction_session_timeout": f"{SILENCE_S:.0f}s",
                    "tcp_keepalives_idle": "30",
                },
            )
            self._tool = self._make(self._connection)
        return self._tool


def _say(error: BaseException) -> None:
    # What broke a transaction tells more than that it is broken.
    broken = isinstance(error, asyncpg.InterfaceError)
    cause = (broken and error.__context__) or error
    log.warning(
        "the database does not take it yet, trying again; nothing is acknowledged meanwhile",
        error=str(cause) or type(cause).__name__,
    )
