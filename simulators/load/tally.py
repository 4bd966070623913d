"""What a run has published so far; written by the publisher, read by whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulators.load.latencies import Latencies


@dataclass(slots=True)
class Tally:
    """Counts of messages; times are of the monotonic clock, in seconds."""

    connected: int = 0
    """Sessions that are open."""
    asked: int = 0
    """Messages that were due."""
    published: int = 0
    """Handed to a connection; each once, however often it is sent."""
    acknowledged: int = 0
    refused: int = 0
    """Of the acknowledged, those whose PUBACK says that the broker did not take it."""
    resent: int = 0
    """Sent again after a connection broke: the broker may have been given them twice."""
    broken: int = 0
    """Connections."""
    began: float = 0.0
    seconds: float = 0.0
    """Of publishing."""
    blocked_s: float = 0.0
    """Of these, while something was due and no connection could take it."""
    cpu_s: float = 0.0
    """CPU time of the process while it published."""
    to_ack: Latencies = field(default_factory=Latencies)
    """From when a message was due to its PUBACK."""

    @property
    def rate(self) -> float:
        """Messages a second that were published."""
        return self.published / self.seconds if self.seconds else 0.0
