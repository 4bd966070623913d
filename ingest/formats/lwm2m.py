"""LwM2M object 4, connectivity monitoring, as SenML carries it (OMA registry, 4.xml 1.3).

Radio signal strength (2) is the RSRP of LTE and NR and the NRSRP of NB-IoT, link quality (3) the
RSRQ; of another bearer (0) they are something else, and its sample is refused. The CE level (13)
counts from one. All other resources, and all other objects, are none of ours.
"""

from __future__ import annotations

import re
from typing import Any

from ingest.formats.base import FormatError, number, shown
from ingest.formats.units import convert
from ingest.reasons import Reason

_DEVICE = r"(?:(?P<device>.*?)/|/?)"
_OURS = re.compile(_DEVICE + r"4/0/(?P<resource>[0-9]{1,5})(?P<instance>/[0-9]{1,5})?")
_ANY = re.compile(_DEVICE + r"[0-9]{1,5}/[0-9]{1,5}/[0-9]{1,5}(/[0-9]{1,5})?")

_BEARER, _CE_LEVEL = 0, 13
_FIELDS = {
    _BEARER: "technology", 2: "rsrp_dbm", 3: "rsrq_db", 8: "cell_id", 11: "sinr_db",
    _CE_LEVEL: "ecl",
}  # fmt: skip
_RESOURCES = {field: resource for resource, field in _FIELDS.items()}
_TECHNOLOGIES = {5: "lte", 6: "lte", 7: "nbiot", 8: "nr", 9: "nr"}


def parse(name: str) -> tuple[str, str | None] | None:
    """Device and field that a path means, the field None where it is none of ours.

    None where the name is no path of LwM2M.
    """
    if path := _OURS.fullmatch(name):
        ours = None if path["instance"] else _FIELDS.get(int(path["resource"]))
        return path["device"] or "", ours
    path = _ANY.fullmatch(name)
    return (path["device"] or "", None) if path else None


def value(field: str, sent: Any, unit: str) -> Any:
    """The value of a field, as the message contract has it; None: not measured.

    Raises `FormatError`.
    """
    measured = number(sent)
    if measured is None:
        raise FormatError(
            Reason.INVALID_FIELD, f"/4/0/{_RESOURCES[field]} = {shown(sent)} is no number"
        )
    if field == "technology":
        if measured not in _TECHNOLOGIES:
            raise FormatError(
                Reason.UNKNOWN_TECHNOLOGY, f"network bearer {measured} reports no RSRP"
            )
        return _TECHNOLOGIES[int(measured)]
    return _ecl(measured) if field == "ecl" else convert(field, unit, measured)


def _ecl(ce_level: int | float) -> int | None:
    """Resource 13 is 0 without coverage enhancement, 1 in CE level 0."""
    if ce_level not in (0, 1, 2, 3):
        raise FormatError(Reason.OUT_OF_RANGE, f"/4/0/13 = {ce_level} is not 0 … 3 (CE level + 1)")
    return int(ce_level) - 1 if ce_level else None
