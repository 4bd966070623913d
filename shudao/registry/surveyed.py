"""Read surveyed coordinates from a CSV file and check every row before it may replace anything.

Columns: ``code``, or ``county`` and ``name``; ``lon`` and ``lat`` in decimal degrees (Chinese
headings are understood as well). A row is accepted when its village exists in the vintage, is
named once in the file, and its point lies in its own county. Everything else is refused with its
line and a reason that the sender can act on.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from shapely.geometry import Point
from shapely.ops import nearest_points

from shudao.errors import ShudaoError
from shudao.registry.boundaries import GEOD, county_polygon, locate
from shudao.registry.crs import Crs, to_wgs84
from shudao.registry.names import name_index
from shudao.registry.tree import Tree, read_vintage

HEADINGS = {
    "code": ("code", "代码", "区划代码", "统计用区划代码"),
    "county": ("county", "县", "区县", "县区"),
    "name": ("name", "village", "名称", "村名", "行政村"),
    "lon": ("lon", "lng", "longitude", "经度"),
    "lat": ("lat", "latitude", "纬度"),
}

DECIMALS = 7
"""Of degrees: a centimetre."""

SICHUAN_LON = (96.0, 110.0)
SICHUAN_LAT = (25.0, 36.0)


class Row(NamedTuple):
    """One data line of the file, as text; ``line`` counts from 1, the heading included.

    ``cells`` is empty where ``error`` says why the line could not be split.
    """

    line: int
    cells: dict[str, str]
    error: str = ""


class Accepted(NamedTuple):
    """A village and its surveyed point in WGS-84."""

    code: str
    lon: float
    lat: float


class Refusal(NamedTuple):
    """Why a line was refused: a short reason to count by, and the detail of this line."""

    line: int
    code: str
    reason: str
    detail: str


@dataclass(slots=True)
class Checked:
    """The outcome of checking a file: every row is in one of the two lists."""

    accepted: list[Accepted] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """Refused lines by reason, the most frequent first."""
        return dict(Counter(refusal.reason for refusal in self.refused).most_common())


class _RefusedError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def read_rows(path: Path) -> list[Row]:
    """The lines of a CSV file in UTF-8 or GB 18030.

    A record is one line, so that a stray quote spoils its own record and no other. Raises
    `ShudaoError` when the file cannot be read, or has not the columns that are needed.
    """
    lines = io.StringIO(_text(path), newline=None)  # None: every kind of line end
    try:
        heading = _heading(_split(lines.readline()), path)
    except csv.Error as error:
        raise ShudaoError(
            f"line 1 of {path} is no CSV ({error})", "save it as CSV again"
        ) from error
    rows = []
    for number, line in enumerate(lines, start=2):
        try:
            cells = _split(line)
        except csv.Error as error:
            rows.append(Row(number, {}, str(error)))
            continue
        if any(cell.strip() for cell in cells):
            named = {key: cells[i].strip() for key, i in heading.items() if i < len(cells)}
            rows.append(Row(number, named))
    return rows


def _split(line: str) -> list[str]:
    """The cells of one line. Raises `csv.Error` where quotes do not close."""
    return next(csv.reader([line.rstrip("\n")], strict=True), [])


def check_file(path: Path, crs: Crs, vintage: str, border_m: float = 0.0) -> Checked:
    """Check every line of a file; see `check_rows`."""
    return check_rows(read_rows(path), crs, vintage, border_m)


def check_rows(rows: list[Row], crs: Crs, vintage: str, border_m: float = 0.0) -> Checked:
    """Accept or refuse each row.

    A point may lie up to ``border_m`` metres outside its county: the boundaries are coarse.
    """
    tree = read_vintage(vintage)
    lines: dict[str, int] = {}
    checked = Checked()
    read: list[tuple[int, str, float, float]] = []
    for row in rows:
        with _refusals(checked, row.line, row.cells.get("code") or row.cells.get("name", "")):
            if row.error:
                raise _RefusedError("no CSV", row.error)
            code = _village(row, tree)
            first = lines.setdefault(code, row.line)
            if first != row.line:
                raise _RefusedError("duplicate", f"{code} is on line {first} already")
            read.append((row.line, code, *_position(row)))
    lon, lat = to_wgs84(np.array([r[2] for r in read]), np.array([r[3] for r in read]), crs)
    for (line, code, *_), x, y in zip(
        read, lon.round(DECIMALS).tolist(), lat.round(DECIMALS).tolist(), strict=True
    ):
        with _refusals(checked, line, code):
            _check_county(x, y, code, tree, border_m)
            checked.accepted.append(Accepted(code, x, y))
    checked.refused.sort()
    return checked


@contextmanager
def _refusals(checked: Checked, line: int, code: str) -> Iterator[None]:
    """Note a row that is refused inside the block, and go on."""
    try:
        yield
    except _RefusedError as refused:
        checked.refused.append(Refusal(line, code, refused.reason, refused.detail))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ShudaoError(f"{path} cannot be read ({error.strerror})", "check its name") from error
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ShudaoError(f"{path} is no text in UTF-8 or GB 18030", "save it as CSV in UTF-8")


def _heading(cells: list[str], path: Path) -> dict[str, int]:
    given = [cell.strip().lower() for cell in cells]
    found = {
        key: given.index(alias)
        for key, aliases in HEADINGS.items()
        for alias in aliases
        if alias in given
    }
    named = "code" in found or {"county", "name"} <= found.keys()
    if not (named and {"lon", "lat"} <= found.keys()):
        raise ShudaoError(
            f"the first line of {path} names {', '.join(cells) or 'nothing'}",
            "it must name the columns code (or county and name), lon and lat",
        )
    return found


def _village(row: Row, tree: Tree) -> str:
    """The code of the row's village."""
    code = row.cells.get("code", "")
    if code:
        division = tree.by_code.get(code)
        if division is not None and division.level == "village":
            return code
        if "E+" in code.upper():
            raise _RefusedError("unknown code", f"a spreadsheet has rounded the code to {code}")
        if division is not None:
            raise _RefusedError("unknown code", f"{code} {division.name} is a {division.level}")
        raise _RefusedError("unknown code", f"{code!r} is no village of {tree.vintage}")
    county, name = row.cells.get("county", ""), row.cells.get("name", "")
    found = name_index(tree.vintage).villages(county, name)
    if not found:
        raise _RefusedError("unknown name", f"no village {name!r} in county {county!r}")
    if len(found) > 1:
        raise _RefusedError("ambiguous name", f"{county} {name} may be {' or '.join(found[:4])}")
    return found[0]


def _position(row: Row) -> tuple[float, float]:
    """The row's longitude and latitude, not converted yet."""
    lon, lat = _number(row, "lon"), _number(row, "lat")
    if _within(lat, SICHUAN_LON) and _within(lon, SICHUAN_LAT):
        raise _RefusedError("swapped lon/lat", f"lon {lon:g} and lat {lat:g} are exchanged")
    if not (_within(lon, SICHUAN_LON) and _within(lat, SICHUAN_LAT)):
        raise _RefusedError("outside Sichuan", f"lon {lon:g}, lat {lat:g} is not in Sichuan")
    return lon, lat


def _number(row: Row, key: str) -> float:
    text = row.cells.get(key, "")
    try:
        number = math.nan if "_" in text else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _RefusedError("not a number", f"{key} is {text!r}")
    return number


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _check_county(lon: float, lat: float, code: str, tree: Tree, border_m: float) -> None:
    polygon = county_polygon(code)
    if shapely.contains_xy(polygon, lon, lat):
        return
    edge = nearest_points(polygon, Point(lon, lat))[0]
    _, _, metres = GEOD.inv(lon, lat, edge.x, edge.y)
    if metres <= border_m:
        return
    there = locate(np.array([lon]), np.array([lat]))[0]
    county = tree.by_code[code[:6]].name
    where = f"it lies in county {there}" if there else "it lies outside Sichuan"
    far = f"{metres / 1000:.1f} km" if metres >= 1000 else f"{metres:.0f} m"
    raise _RefusedError("outside its county", f"{far} outside {code[:6]} {county}; {where}")
