"""LwM2M object 4, connectivity monitoring, as SenML carries it (OMA registry, 4.xml 1.3)."""

from __future__ import annotations

import re
from typing import Any

from ingest.formats.base import FormatError, number
from ingest.reasons import Reason

PATH = re.compile(r"(?P<device>.*?)/?(?:(?<=/)|(?<![^/]))4/0/(?P<resource>\d{1,5})")
"""A record's name: perhaps a device, then /4/0/ and the resource."""

_TECHNOLOGY = {0: "gsm", 5: "lte", 6: "lte", 7: "nbiot", 8: "nr", 9: "nr"}
"""Resource 0, network bearer; the others have no radio samples here."""

_FIELDS = {2: "rsrp_dbm", 3: "rsrq_db", 8: "cell_id", 11: "sinr_db"}
"""Radio signal strength is NRSRP of NB-IoT and RSRP of LTE, link quality NRSRQ and RSRQ."""

_BEARER, _CE_LEVEL = 0, 13


def resource(number_of: int, value: Any) -> tuple[str | None, Any]:
    """Field and value of a resource; None where it is none of ours. Raises `FormatError`."""
    if number_of not in {_BEARER, _CE_LEVEL, *_FIELDS}:
        return None, None
    sent = number(value)
    if sent is None:
        raise FormatError(Reason.INVALID_FIELD, f"/4/0/{number_of} is no number")
    if number_of == _BEARER:
        if sent not in _TECHNOLOGY:
            raise FormatError(Reason.UNKNOWN_TECHNOLOGY, f"network bearer {sent} has no radio")
        return "technology", _TECHNOLOGY[int(sent)]
    if number_of == _CE_LEVEL:
        return _ce_level(sent)
    return _FIELDS[number_of], sent


def _ce_level(sent: int | float) -> tuple[str | None, Any]:
    """Resource 13 counts from one: 0 is none, 1 is CE level 0."""
    if sent == 0:
        return None, None
    if sent not in (1, 2, 3):
        raise FormatError(Reason.OUT_OF_RANGE, f"/4/0/13 = {sent} is not 0 … 3 (CE level + 1)")
    return "ecl", int(sent) - 1
