"""The message contract: three streams of samples, what a sample holds, what is in range.

Topics: ``shudao/v1/{carrier}/{stream}/{device}``; a bulk uploader publishes arrays to
``shudao/v1/{carrier}/batch/{uploader}``, each object then names its ``device`` and ``stream``.
The payload is a JSON object, or an array of 1 to 50,000 objects, whose keys are the field names
below, plus ``time``: integer milliseconds since the epoch, UTC, of the measurement; and
``technology`` (shudao/vocabulary.py) where it is not the device's own. A reading has ``metric`` (a
name of the table metric) and ``value``. Unknown keys are ignored; a field that was not measured is
left out (or null). A device measures one thing at an instant: of two samples of a stream with the
same device and time (and metric) the first stays, the other is a duplicate.

A batch in memory is a numpy structured array of the stream's dtype, and stays one from decode
to COPY. Absent numbers are NaN in float fields and `ABSENT` in integer ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

TOPIC_PREFIX = "shudao/v1"
StreamName = Literal["radio", "broadband", "reading"]
STREAM_NAMES: tuple[StreamName, ...] = get_args(StreamName)
BATCH = "batch"

ABSENT = -1
"""An integer that was not measured; no integer field has negative values."""


@dataclass(frozen=True, slots=True)
class Field:
    """One measured quantity of a stream.

    ``low`` and ``high`` are inclusive; ``dtype`` is the numpy type in memory ("f4" or an integer)
    and fixes the column type; ``source`` is where the range comes from.
    """

    name: str
    dtype: str
    low: float
    high: float
    source: str

    @property
    def is_integer(self) -> bool:
        """Whether the field holds whole numbers."""
        return self.dtype.startswith("i")


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of sample: its name, its raw table and its measured fields."""

    name: StreamName
    table: str
    fields: tuple[Field, ...]

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Structured dtype of a batch: keys of a sample, then one entry per field."""
        keys = [
            ("time_ms", "i8"), ("device_id", "i4"), ("place_id", "i4"),
            ("carrier_id", "i2"), ("technology_id", "i2"),
        ]  # fmt: skip
        return np.dtype(keys + [(f.name, f.dtype) for f in self.fields])


RADIO = Stream(
    "radio",
    "radio_sample",
    (
        Field("rsrp_dbm", "f4", -156, -31, "TS 36.133 9.1.4 (LTE, NB-IoT), TS 38.133 10.1.6 (NR)"),
        Field("rsrq_db", "f4", -43, 20, "TS 36.133 9.1.7; TS 38.133 10.1.11 (NR: -43 … 20 dB)"),
        Field("sinr_db", "f4", -30, 40, "TS 38.133 10.1.16: -23 … 40 dB; modules report to -30"),
        Field("ecl", "i2", 0, 2, "TS 36.331: CE level 0 to 2"),
        Field("pci", "i2", 0, 1007, "TS 36.211 6.11 (0 … 503), TS 38.211 7.4.2 (0 … 1007)"),
        Field("earfcn", "i4", 0, 3_279_165, "TS 36.101 5.7.3 and TS 38.104 5.4.2 (NR-ARFCN)"),
        Field("cell_id", "i8", 0, 2**36 - 1, "TS 36.331 (28 bit), TS 38.331 (36 bit)"),
        Field("tx_power_dbm", "f4", -60, 33, "TS 36.101 6.2 (classes), modules report from -52"),
        Field("rtt_ms", "f4", 0, 600_000, "NB-IoT exchanges in ECL 2 take minutes"),
        Field("attached", "i2", 0, 1, "0: the device searched and found no cell"),
        Field("lon", "f8", -180, 180, "WGS-84, mobile devices only"),
        Field("lat", "f8", -90, 90, "WGS-84, mobile devices only"),
    ),
)

BROADBAND = Stream(
    "broadband",
    "broadband_sample",
    (
        Field("down_mbps", "f4", 0, 100_000, "100G access is the fastest sold"),
        Field("up_mbps", "f4", 0, 100_000, "100G access is the fastest sold"),
        Field("rtt_ms", "f4", 0, 60_000, "ITU-T Y.1540: later is lost"),
        Field("rtt_max_ms", "f4", 0, 60_000, "ITU-T Y.1540: later is lost"),
        Field("jitter_ms", "f4", 0, 60_000, "ITU-T Y.1540"),
        Field("loss_pct", "f4", 0, 100, "ITU-T Y.1540 IPLR, in percent"),
        Field("dns_ms", "f4", 0, 60_000, "resolver time-outs are shorter"),
        Field("ipv6", "i2", 0, 1, "1: the test ran over IPv6"),
    ),
)

READING = Stream(
    "reading",
    "reading",
    (
        Field("metric_id", "i2", 1, 32_767, "table metric"),
        Field("value", "f8", -1e300, 1e300, "finite"),
    ),
)

STREAMS: dict[StreamName, Stream] = {"radio": RADIO, "broadband": BROADBAND, "reading": READING}

RSRP_EDGES_DBM = (-128, -118, -110, -108, -105, -100, -94, -84)
"""Lower edges of RSRP bins 1 … 8; bin 0 is below the first. They are the thresholds that goals
may use: CE levels of a commercial SIB2 (-108, -118), weak sample (-105), deep (-128)."""

SINR_EDGES_DB = (-3, 0, 10)
"""Lower edges of SINR classes 2 … 4; class 0 is SINR not reported, class 1 below the first."""

DOWN_EDGES_MBPS = (4, 12, 20, 50, 100, 200, 500)
"""Lower edges of download bins 1 … 7: universal service (4, 12), Broadband China (20, 50)."""

RSRP_BINS = len(RSRP_EDGES_DBM) + 1
SINR_BINS = len(SINR_EDGES_DB) + 2
DOWN_BINS = len(DOWN_EDGES_MBPS) + 1
SIGNAL_BINS = RSRP_BINS * SINR_BINS
"""The joint histogram has index ``rsrp_bin * SINR_BINS + sinr_class``, so that a threshold on
RSRP *and* SINR can be asked later without touching raw data."""


def topic(carrier: str, stream: str, device: str) -> str:
    """The topic that a device publishes a stream on."""
    return f"{TOPIC_PREFIX}/{carrier}/{stream}/{device}"
