"""What a run publishes, by which devices, over which connections."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import numpy as np

from shudao.broker_address import broker_address
from shudao.errors import ShudaoError
from shudao.streams import TOPIC_PREFIX, topic
from shudao.vocabulary import Carrier
from simulators.load import wire
from simulators.load.connection import Connection
from simulators.load.frames import Frames, draw_bodies, single_records
from simulators.load.schedule import Curve

CARRIERS = tuple(c.name.lower() for c in Carrier)
UNVERIFIED_PREFIX = "shudao-load/v1"
"""In place of `TOPIC_PREFIX` where no database knows the devices, so that a platform which listens
does not fill its quarantine."""
_MOST_AT_ONCE = 250
_LEAST_RING = 8


def _new_run() -> int:
    return 10_000 + secrets.randbelow(190_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run: all that its parts must agree on.

    Device n publishes over connection n modulo ``connections``; connection c has the carrier
    c modulo 4. ``window`` is how many messages may be under way, of all connections together.
    """

    url: str
    devices: int
    connections: int
    duration_s: float
    curve: Curve | None
    """None: as fast as acknowledgements come."""
    qos: int = 1
    version: wire.Version = wire.Version.V5
    window: int = 65_536
    connect_rate: float = 1_000.0
    patience_s: float = 10.0
    verified: bool = True
    """Whether the database is asked."""
    run: int = field(default_factory=_new_run)
    """Names the run's devices, places and client ids."""

    def __post_init__(self) -> None:
        """Raises `ShudaoError` for what cannot be: a device has one sample a millisecond."""
        broker_address(self.url)
        if self.devices < self.connections:
            raise ShudaoError(
                f"{self.devices:,} devices cannot share {self.connections:,} connections",
                "choose at least as many --devices as --connections",
            )
        if self.curve and self.curve.peak > 1_000 * self.devices:
            raise ShudaoError(
                f"{self.devices:,} devices cannot send {self.curve.peak:,.0f} messages a second,"
                " each at a millisecond of its own",
                "choose more --devices, or a lower --rate",
            )

    @property
    def device_prefix(self) -> str:
        """A device is named by this and the 12 digits of its number."""
        return f"load-{self.run}-"

    @property
    def at_once(self) -> int:
        """Messages that a connection is handed in one go, at most: those of a millisecond."""
        peak = self.curve.peak / 1000 if self.curve else _MOST_AT_ONCE
        return int(min(max(peak, 1), _MOST_AT_ONCE, self.devices // self.connections))

    def client_id(self, number: int) -> str:
        """Of a connection."""
        return f"shudao-load-{self.run}-{number}"

    def make_connections(self) -> list[Connection]:
        """All of them, without sessions."""
        bodies = draw_bodies(_MOST_AT_ONCE, self.run)
        ring = min(max(self.window // self.connections, _LEAST_RING), wire.MAX_UNACKNOWLEDGED)
        made = []
        for number in range(self.connections):
            start = topic(CARRIERS[number % len(CARRIERS)], "radio", self.device_prefix)
            if not self.verified:
                start = UNVERIFIED_PREFIX + start.removeprefix(TOPIC_PREFIX)
            records = single_records(start, ring, bodies.width, qos=self.qos, version=self.version)
            mine = np.arange(number, self.devices, self.connections)
            frames = Frames(records, mine, bodies, seed=self.run + number)
            made.append(Connection(frames, qos=self.qos))
        return made
