"""Match samples of mobile devices to the nearest corridor segment.

A sample that has coordinates and whose device stands at no registered place belongs to the
segment nearest to it, if that is within `MATCH_DISTANCE_M`; else it stays unplaced: stored, but
counted for no place.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import numpy as np
import shapely
from pyproj import Transformer

from ingest.batch import Checked
from shudao.registry.corridors import segment_lines
from shudao.vocabulary import FOREIGN_CARRIER, UNPLACED

MATCH_DISTANCE_M = 300.0
"""Both carriageways, a service road and the error of a vehicle's position; ours."""

# UTM 48N covers 102° to 108° E; at the province's western end (97° E) lengths are 0.4 % off.
_TO_METRES = Transformer.from_crs("EPSG:4326", "EPSG:32648", always_xy=True)


class Locator:
    """Finds the segments of the registry's corridors."""

    def __init__(self, vintage: str) -> None:
        self._vintage = vintage
        codes, lines = segment_lines()
        self._codes = list(codes)
        self._tree = shapely.STRtree(_project(np.asarray(lines)))
        self._place_id = np.zeros(len(self._codes), np.int64)
        self._county = np.zeros(len(self._codes), np.int64)

    async def prepare(self, connection: asyncpg.Connection[Any]) -> None:
        """Look up the segments' places, until they are loaded."""
        if self._place_id.any():
            return
        rows = await connection.fetch(
            "SELECT code, place_id, county FROM place"
            " WHERE kind = 'segment' AND vintage = $1::text::date",
            self._vintage,
        )
        found = {r["code"]: (r["place_id"], r["county"]) for r in rows}
        pairs = np.array([found.get(c, (UNPLACED, 0)) for c in self._codes], np.int64)
        self._place_id, self._county = pairs.reshape(-1, 2).T

    def locate(self, checked: Checked) -> Checked:
        """Give mobile samples their segment's place and county, in place; returns the same."""
        rows = checked.rows
        if checked.stream.name != "radio" or not len(rows):
            return checked
        mobile = np.flatnonzero(
            (rows["place_id"] == UNPLACED)
            & (rows["carrier_id"] != FOREIGN_CARRIER)
            & ~np.isnan(rows["lon"])
            & ~np.isnan(rows["lat"])
        )
        if len(mobile):
            point, segment = self._nearest(rows["lon"][mobile], rows["lat"][mobile])
            rows["place_id"][mobile[point]] = self._place_id[segment]
            checked.county[mobile[point]] = self._county[segment]
        return checked

    def _nearest(self, lon: Any, lat: Any) -> tuple[Any, Any]:
        """Positions of the points that lie near a segment, and those segments."""
        x, y = _TO_METRES.transform(lon, lat)
        inside = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        point, segment = self._tree.query_nearest(
            shapely.points(x[inside], y[inside]),
            max_distance=MATCH_DISTANCE_M,
            all_matches=False,
        )
        return inside[point], segment


def _project(lines: Any) -> Any:
    return shapely.transform(
        lines, lambda c: np.column_stack(_TO_METRES.transform(c[:, 0], c[:, 1]))
    )
