"""What the ingester tells Prometheus. The names are a contract: dashboards and alerts use them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ingest.batch import Batch, Floats
from ingest.receipt import Receipt
from ingest.sources import Source

LAG_EDGES_S = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400, 604_800)
"""Measurement to commit: sensors that sleep send hours or days late, and that is no fault."""
_COMMIT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SAMPLES = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000)


class Metrics:
    """The metrics of one ingester process, in a registry of their own."""

    def __init__(self, source: Source) -> None:
        self.registry = registry = CollectorRegistry()
        prefix = "shudao_ingest"
        self._received = Counter(
            f"{prefix}_received", "samples that arrived, refused ones included", registry=registry
        )
        self._stored = Counter(f"{prefix}_stored", "samples that were stored", registry=registry)
        self._duplicates = Counter(
            f"{prefix}_duplicates", "samples that were there already", registry=registry
        )
        self._quarantined = Counter(
            f"{prefix}_quarantined", "samples refused, by reason", ["reason"], registry=registry
        )
        self._messages = Counter(
            f"{prefix}_messages", "messages committed and acknowledged", registry=registry
        )
        self._batch = Histogram(
            f"{prefix}_batch_samples", "samples in a batch", buckets=_SAMPLES, registry=registry
        )
        self._age = Histogram(
            f"{prefix}_batch_age_seconds", "first arrival of a batch to its acknowledgement",
            buckets=_COMMIT_S, registry=registry,
        )  # fmt: skip
        self._commit = Histogram(
            f"{prefix}_commit_seconds", "duration of a batch's transaction, tries included",
            buckets=_COMMIT_S, registry=registry,
        )  # fmt: skip
        self._rolled_up = Counter(
            f"{prefix}_rolled_up", "samples that this process added to a roll-up", ["rollup"],
            registry=registry,
        )  # fmt: skip
        self._roll_up = Histogram(
            f"{prefix}_roll_up_seconds", "duration of one merge into a roll-up", ["rollup"],
            buckets=_COMMIT_S, registry=registry,
        )  # fmt: skip
        registry.register(_SourceState(prefix, source))
        self._lag = _Lag(f"{prefix}_lag_seconds", "measurement to commit, of valid samples")
        registry.register(self._lag)

    def batch_done(
        self, batch: Batch, receipt: Receipt, messages: int, *, age_s: float, commit_s: float
    ) -> None:
        """Count a batch that was committed and acknowledged."""
        self._received.inc(receipt.received)
        self._stored.inc(receipt.stored)
        self._duplicates.inc(receipt.duplicates)
        for reason, count in receipt.quarantined.items():
            self._quarantined.labels(reason).inc(count)
        self._messages.inc(messages)
        now_s = time.time()
        for checked in batch.checked:
            self._lag.add(now_s - checked.rows["time_ms"] / 1000)
        self._batch.observe(len(batch))
        self._age.observe(age_s)
        self._commit.observe(commit_s)

    def merged(self, rollup: str, samples: int, seconds: float) -> None:
        """Count a merge into ``rollup``: minutes or hours."""
        self._rolled_up.labels(rollup).inc(samples)
        self._roll_up.labels(rollup).observe(seconds)


class _SourceState(Collector):
    """What the source says of itself, read when somebody asks."""

    def __init__(self, prefix: str, source: Source) -> None:
        self._prefix, self._source = prefix, source

    def collect(self) -> Iterator[Metric]:
        source, prefix = self._source, self._prefix
        yield GaugeMetricFamily(
            f"{prefix}_in_flight", "messages received and not yet acknowledged", source.in_flight
        )
        yield GaugeMetricFamily(
            f"{prefix}_connected", "1 while the broker answers", int(source.connected)
        )
        yield CounterMetricFamily(
            f"{prefix}_reconnects", "connections taken up again", source.reconnects
        )
        yield CounterMetricFamily(
            f"{prefix}_dropped", "messages of QoS 0 that found no room", source.dropped
        )


class _Lag(Collector):
    """A histogram that takes arrays: one call a batch, not one a sample."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text
        self._counts = np.zeros(len(LAG_EDGES_S) + 1, np.int64)
        self._sum = 0.0

    def add(self, seconds: Floats) -> None:
        bins = np.searchsorted(LAG_EDGES_S, seconds)
        self._counts += np.bincount(bins, minlength=len(self._counts))
        self._sum += float(seconds.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._text)
        total = np.cumsum(self._counts).tolist()
        edges = [*map(str, map(float, LAG_EDGES_S)), "+Inf"]
        family.add_metric([], list(zip(edges, total, strict=True)), self._sum)
        yield family
