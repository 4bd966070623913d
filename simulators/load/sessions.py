"""Opens sessions at the broker in threads, so that a slow handshake holds nothing up."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from shudao.broker_address import broker_address
from shudao.errors import ShudaoError
from simulators.load import wire
from simulators.load.connection import Connection
from simulators.load.plan import Plan

_THREADS = 32
_RETRY_S = 0.5
_OTHER_FILES = 256


class Sessions:
    """Sessions of a plan's connections: all of them at the start, single ones again later."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._address = broker_address(plan.url)
        self._pool = ThreadPoolExecutor(_THREADS)
        self._opening: dict[Future[wire.Session], Connection] = {}
        self._closing = threading.Event()

    def start(self, connections: list[Connection]) -> Iterator[tuple[Connection, wire.Session]]:
        """Open all at the plan's connect rate. Raises `ShudaoError` when one is refused."""
        _allow_files(len(connections) + _OTHER_FILES)
        began = time.monotonic()
        try:
            for number, connection in enumerate(connections):
                time.sleep(max(began + number / self._plan.connect_rate - time.monotonic(), 0))
                self._submit(connection, number, again=False)
                yield from self.opened()
            while self._opening:
                time.sleep(0.001)
                yield from self.opened()
        except OSError as error:
            raise ShudaoError(
                f"the MQTT broker at {self._address} does not take all connections ({error})",
                "see that it runs and lets so many in, or correct SHUDAO_MQTT_URL",
            ) from error

    def reopen(self, connection: Connection, number: int) -> None:
        """Open one again, however often that takes."""
        self._submit(connection, number, again=True)

    def opened(self) -> Iterator[tuple[Connection, wire.Session]]:
        """Those that were opened meanwhile. Raises `OSError` of one that failed."""
        for future in [f for f in self._opening if f.done()]:
            yield self._opening.pop(future), future.result()

    def close(self) -> None:
        """Open no more."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)
        for future in self._opening:
            if not future.cancelled() and future.exception() is None:
                future.result().socket.close()

    def _submit(self, connection: Connection, number: int, *, again: bool) -> None:
        name = self._plan.client_id(number)
        self._opening[self._pool.submit(self._open, name, again)] = connection

    def _open(self, client_id: str, again: bool) -> wire.Session:
        while True:
            try:
                return wire.open_session(self._address, client_id, self._plan.version)
            except OSError:
                if not again or self._closing.wait(_RETRY_S):
                    raise


def _allow_files(count: int) -> None:
    """Raise this process's limit of open files. Raises `ShudaoError` where that is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ShudaoError(
            f"only {hard:,} files may be open here, and so many connections need {count:,}",
            f"run `ulimit -n {count}` as root, or choose fewer --connections",
        )
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
