"""What a fleet has sent: the counts that the other end is compared with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import msgspec

from simulators.messages import Message


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """Counts so far.

    ``samples`` are valid samples handed to the broker, each once; ``acknowledged_samples`` those
    that it acknowledged: the database must end up with exactly these when nothing else is
    published. ``messages`` counts everything, duplicates and malformed ones too. ``duplicates``
    are samples sent a second time on purpose, ``resent`` samples sent again after a connection
    broke. ``malformed`` counts samples that must end in quarantine, each once.
    """

    messages: int
    samples: int
    acknowledged_samples: int
    malformed: int
    duplicates: int
    resent: int
    unacknowledged: int
    prefectures: int
    carriers: int
    elapsed_s: float
    rate: float
    final: bool = False


@dataclass
class Tally:
    """Counts messages as they are sent and acknowledged."""

    started: float = field(default_factory=time.monotonic)
    messages: int = 0
    samples: int = 0
    acknowledged_samples: int = 0
    malformed: int = 0
    duplicates: int = 0
    resent: int = 0
    unacknowledged: int = 0
    prefectures: set[int] = field(default_factory=set)
    carriers: set[int] = field(default_factory=set)

    def sent(self, message: Message) -> None:
        """Count a message that is handed to the broker."""
        message.attempts += 1
        if message.attempts > 1:
            self.resent += message.samples * (message.kind != "malformed")
            return
        self.messages += 1
        self.unacknowledged += 1
        self.malformed += message.samples * (message.kind == "malformed")
        self.samples += message.samples * (message.kind == "valid")
        self.duplicates += message.samples * (message.kind == "duplicate")

    def acknowledged(self, message: Message) -> None:
        """Count a message that the broker acknowledged."""
        self.unacknowledged -= 1
        if message.kind == "valid":
            self.acknowledged_samples += message.samples
            self.prefectures.add(message.prefecture)
            self.carriers.add(message.carrier)

    def report(self, *, final: bool = False) -> Report:
        """The counts now; ``rate`` is messages a second since the start."""
        elapsed = time.monotonic() - self.started
        return Report(
            messages=self.messages,
            samples=self.samples,
            acknowledged_samples=self.acknowledged_samples,
            malformed=self.malformed,
            duplicates=self.duplicates,
            resent=self.resent,
            unacknowledged=self.unacknowledged,
            prefectures=len(self.prefectures),
            carriers=len(self.carriers),
            elapsed_s=round(elapsed, 3),
            rate=round(self.messages / elapsed, 1) if elapsed else 0.0,
            final=final,
        )
