"""Samples that carry a number: device, time and every value follow from it.

So the oracle needs no record of what was sent but the numbers, and can tell for each row of the
database which number it is and whether its values are right. The times of successive numbers lie
1 ms apart and are spread over `OFFSETS` distant hours, so that minutes, hours and days are met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from shudao.streams import StreamName
from shudao.vocabulary import CARRIER_IDS, Carrier, Technology

SENSORS, PROBES, PLACES = 50, 10, 12
COUNTIES = (510104, 510105, 511502, 513425, 510722)
OFFSETS = 5
OFFSET_MS = (7 * 60 + 13) * 60_000
METRIC = "temperature"


@dataclass(frozen=True, slots=True)
class Sample:
    """One numbered sample as it goes over the wire."""

    stream: StreamName
    device: str
    carrier: str
    fields: dict[str, Any]
    """``time`` included."""


def sample(number: int, base_ms: int) -> Sample:
    """The sample with that number (0 … 2,000,000), in a run that began at ``base_ms``."""
    time_ms = base_ms + number - number % OFFSETS * OFFSET_MS
    kind = number % 12
    if kind in (5, 11):
        stream, device, carrier = "broadband", *probe(number // 6 % PROBES)
        values = _broadband(number)
    elif kind == 8:
        stream, device, carrier = "reading", *sensor(number % SENSORS)
        values = {"metric": METRIC, "value": number / 8}
    else:
        stream, device, carrier = "radio", *sensor(number % SENSORS)
        values = _radio(number)
    fields = {"time": time_ms} | {k: v for k, v in values.items() if v is not None}
    return Sample(stream, device, carrier, fields)  # type: ignore[arg-type]


def sensor(i: int) -> tuple[str, str]:
    """Name and carrier of the i-th NB-IoT sensor."""
    return f"chaos-sensor-{i:02}", Carrier(i % 4 + 1).name.lower()


def probe(i: int) -> tuple[str, str]:
    """Name and carrier of the i-th broadband probe."""
    return f"chaos-probe-{i:02}", Carrier(i % 4 + 1).name.lower()


def _radio(n: int) -> dict[str, Any]:
    if n % 97 == 0:
        return {"attached": 0, "cell_id": n}
    rsrp = (-14_000 + n * 37 % 9_000) / 100
    return {
        "rsrp_dbm": rsrp,
        "rsrq_db": None if n % 7 == 0 else -(n % 40) / 2,
        "sinr_db": None if n % 11 == 0 else (n * 53 % 6_500 - 2_500) / 100,
        "ecl": 2 if rsrp <= -130 else n % 3,
        "pci": n % 504,
        "earfcn": 2_500 + n % 90,
        "cell_id": n,
        "tx_power_dbm": n % 46 / 2,
        "rtt_ms": None if n % 3 else n * 7_919 % 600_000 / 8,
        "attached": None if n % 5 else 1,
        "lon": 104 + n % 1_000 / 1_000 if n % 10 == 9 else None,
        "lat": 30 + n % 997 / 997 if n % 10 == 9 else None,
        "technology": "lte" if n % 13 == 0 else None,
    }


def _broadband(n: int) -> dict[str, Any]:
    return {
        "down_mbps": None if n % 17 == 0 else n * 131 % 60_000 / 100,
        "up_mbps": n * 17 % 6_000 / 100,
        "rtt_ms": n * 29 % 40_000 / 200,
        "rtt_max_ms": None if n % 4 else 200 + n % 300,
        "jitter_ms": None if n % 9 == 0 else n % 800 / 16,
        "loss_pct": n % 250 / 8 if n % 8 == 0 else 0,
        "dns_ms": n % 90 / 4,
        "ipv6": None if n % 7 == 0 else n % 2,
        "technology": "cable" if n % 5 == 0 else None,
    }


async def register(connection: asyncpg.Connection[Any]) -> None:
    """Register the devices, and the places that they stand at; one sensor in ten is mobile."""
    places = [
        await connection.fetchval(
            "INSERT INTO place (kind, vintage, division, county, code, name, coord_source, source)"
            " VALUES ('site', '2018-10-31', $1::integer::text, $1, $2, $2, 'synthetic',"
            " 'simulated') RETURNING place_id",
            COUNTIES[i % len(COUNTIES)],
            f"chaos-{i:02}",
        )
        for i in range(PLACES)
    ]
    devices = [
        (*sensor(i), 0 if i % 10 == 9 else places[i % PLACES], Technology.NBIOT, "sensor")
        for i in range(SENSORS)
    ]
    devices += [
        (*probe(i), places[(i + 5) % PLACES], Technology.FTTP, "probe") for i in range(PROBES)
    ]
    await connection.executemany(
        "INSERT INTO device (name, carrier_id, place_id, technology_id, kind, source)"
        " VALUES ($1, $2, $3, $4, $5, 'registered')",
        [(name, CARRIER_IDS[c], place, int(t), kind) for name, c, place, t, kind in devices],
    )
