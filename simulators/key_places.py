"""Places that goals count and the registry does not have: information stations, key scenario sites
and public WLAN areas, invented beside the villages and communities that it has.
"""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

import asyncpg

from simulators import constants as c

_INSERT = """
INSERT INTO place (kind, subkind, vintage, division, county, code, name, lon, lat, coord_source,
                   coord_precision_m, source)
SELECT $2, nullif($3, ''), vintage, division, county, code || $4, name || $5, lon, lat, 'synthetic',
       coord_precision_m, 'simulated'
FROM place home
WHERE kind = 'village' AND vintage = $1 AND subkind = $6 AND code::bigint % $7 = $8
  AND NOT EXISTS (SELECT FROM place old WHERE old.kind = $2 AND old.vintage = $1
                  AND old.code = home.code || $4)
ORDER BY code
ON CONFLICT DO NOTHING
"""


class _Beside(NamedTuple):
    """What is invented beside which homes: of those whose code leaves ``rest`` over ``every``."""

    kind: str
    subkind: str
    suffix: str
    """Of the code."""
    name: str
    home: str
    every: int = 1
    rest: int = 0


_WANTED = [
    _Beside("station", "", "", "益农信息社", "village"),
    *(
        _Beside("site", kind, f"-{kind}-{number}", f"{site.zh}{number}", "community")
        for number in range(1, c.SITES_PER_COMMUNITY + 1)
        for kind, site in c.KEY_SITES.items()
    ),
    *(
        _Beside("wlan", kind, f"-{kind}", name, "community", len(c.WLAN_AREAS), turn)
        for turn, (kind, (name, _)) in enumerate(c.WLAN_AREAS.items())
    ),
]


async def register_key_places(connection: asyncpg.Connection[Any], vintage: str) -> int:
    """Give every administrative village its information station, and every community some sites
    of each key scenario and one public WLAN area; returns how many are new.

    They lie where their home does. A station has the village's code, the others have the
    community's with their kind (and number) behind it.
    """
    new = 0
    async with connection.transaction():
        # The planner takes few rows for granted, until the table is analysed, and is slow then.
        await connection.execute("SET LOCAL enable_nestloop = off")
        for wanted in _WANTED:
            done = await connection.execute(_INSERT, date.fromisoformat(vintage), *wanted)
            new += int(done.rpartition(" ")[2])
    return new
