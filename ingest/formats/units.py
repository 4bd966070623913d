"""Units of SenML (RFC 8428, 12.1; secondary ones RFC 8798) → the units of the message contract."""

from __future__ import annotations

from ingest.formats.base import FormatError
from ingest.reasons import Reason

# Unit → factor and offset to the contract's unit, by the ending of a field's name. Empty: the
# sender states none, and sends the contract's.
_ENDINGS: dict[str, dict[str, tuple[float, float]]] = {
    "_dbm": {"": (1, 0), "dBm": (1, 0), "dBW": (1, 30)},
    "_db": {"": (1, 0), "dB": (1, 0)},
    "_ms": {"": (1, 0), "ms": (1, 0), "s": (1000, 0), "min": (60_000, 0)},
    "_mbps": {
        "": (1, 0), "Mbit/s": (1, 0), "bit/s": (1e-6, 0), "kbit/s": (1e-3, 0),
        "B/s": (8e-6, 0), "MB/s": (8, 0),
    },
    "_pct": {"": (1, 0), "%": (1, 0), "/100": (1, 0), "/": (100, 0)},
    "lon": {"": (1, 0), "lon": (1, 0), "deg": (1, 0)},
    "lat": {"": (1, 0), "lat": (1, 0), "deg": (1, 0)},
}  # fmt: skip
_PLAIN: dict[str, tuple[float, float]] = {"": (1, 0), "count": (1, 0), "/": (1, 0)}

# The same by metric, for those that the table metric begins with.
_METRICS: dict[str, dict[str, tuple[float, float]]] = {
    "battery": {"": (1, 0), "%": (1, 0), "%EL": (1, 0), "/100": (1, 0), "/": (100, 0)},
    "temperature": {"": (1, 0), "Cel": (1, 0), "K": (1, -273.15)},
    "water_volume": {"": (1, 0), "m3": (1, 0), "l": (1e-3, 0)},
    "smoke": _PLAIN,
    "parking": _PLAIN,
    "lamp_power": {"": (1, 0), "W": (1, 0), "kW": (1000, 0)},
    "pm2_5": {"": (1, 0), "ug/m3": (1, 0), "kg/m3": (1e9, 0)},
}


def convert(field: str, unit: str, value: int | float) -> int | float:
    """A value in the field's own unit. Raises `FormatError` for a unit that it cannot have."""
    units = next((u for ending, u in _ENDINGS.items() if field.endswith(ending)), _PLAIN)
    return _scaled(field, units, unit, value)


def convert_reading(metric: str, unit: str, value: int | float) -> int | float:
    """A reading in its metric's own unit. Raises `FormatError` for a unit that it cannot have.

    Of a metric that was added to the table later the unit is not known here: its readings are
    taken as they are.
    """
    if metric not in _METRICS:
        return value
    return _scaled(metric, _METRICS[metric], unit, value)


def _scaled(
    name: str, units: dict[str, tuple[float, float]], unit: str, value: int | float
) -> int | float:
    if unit not in units:
        allowed = ", ".join(repr(u) for u in units if u)
        raise FormatError(Reason.INVALID_FIELD, f"{name} in {unit[:20]!r}: send it in {allowed}")
    factor, offset = units[unit]
    if factor == 1 and offset == 0:
        return value
    return round(value * factor + offset, 9)
