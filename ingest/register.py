"""Register unknown devices on first sight, for the carriers that are set to (auto_register)."""

from __future__ import annotations

from typing import Any

import asyncpg
import numpy as np
import structlog

from ingest.batch import Samples
from ingest.directory import Devices
from shudao.streams import StreamName
from shudao.vocabulary import RADIO_TECHNOLOGIES, Technology

log = structlog.get_logger(__name__)

LONGEST_NAME = 128
"""Characters; what is longer is no device's name, and stays unknown."""

_KIND: dict[StreamName, str] = {"radio": "sensor", "broadband": "probe", "reading": "sensor"}
_TECHNOLOGY: dict[StreamName, Technology] = {
    "radio": Technology.NBIOT,
    "broadband": Technology.FTTP,
    "reading": Technology.NBIOT,
}
"""Of a device whose first sample names none."""

_INSERT = """
INSERT INTO device (name, carrier_id, technology_id, kind, source)
SELECT *, 'first sight' FROM unnest($1::text[], $2::smallint[], $3::smallint[], $4::text[])
ON CONFLICT DO NOTHING
"""


async def register_on_sight(
    connection: asyncpg.Connection[Any],
    samples: Samples,
    devices: Devices,
    carriers: frozenset[int],
) -> bool:
    """Register the unknown ones of the samples' ``devices`` that claim one of ``carriers``.

    They stand at no place until an operator says where: their samples are stored, and count for
    no goal. Whether there were any.
    """
    unknown = (devices.device_id == 0) & np.isin(samples.claimed_carrier, list(carriers))
    new: dict[str, tuple[int, int, str]] = {}
    for row in np.flatnonzero(unknown):
        name = samples.device[row]
        if len(name) <= LONGEST_NAME and name.isprintable():
            carrier = int(samples.claimed_carrier[row])
            new.setdefault(name, (carrier, *_nature(samples, int(row))))
    if new:
        columns = zip(*((name, *rest) for name, rest in sorted(new.items())), strict=True)
        await connection.execute(_INSERT, *columns)
        log.info("devices registered on first sight", devices=len(new))
    return bool(new)


def _nature(samples: Samples, row: int) -> tuple[int, str]:
    """Technology and kind of a device, from its first sample."""
    name = samples.stream.name
    named = int(samples.technology_id[row])
    fits = named > 0 and (name != "radio" or named in RADIO_TECHNOLOGIES)
    return named if fits else int(_TECHNOLOGY[name]), _KIND[name]
