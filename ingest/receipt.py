"""What became of the samples of a batch, a file or a push."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Receipt:
    """Counts after the commit: received = stored + duplicates + quarantined, always."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    """By reason."""

    def add(self, other: Receipt) -> None:
        """Add another receipt's counts."""
        self.received += other.received
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.quarantined.update(other.quarantined)
