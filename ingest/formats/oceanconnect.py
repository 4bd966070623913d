"""The push body of Huawei OceanConnect, which China Telecom's IoT platform uses.

Of its services the one called Connectivity is read: signalStrength (RSRP) and linkQuality (RSRQ)
in tenths of dBm and dB, signalECL (255: unknown), cellId, signalPCI. signalSNR is left out: its
unit differs between modules (whole and tenths of dB) and the body does not say which.
``deviceId`` names the device on the batch topic; on a device's own topic the topic does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ingest.formats.base import (
    MAX_NAME,
    Fault,
    Format,
    FormatError,
    Object,
    Translated,
    json_value,
    number_or_text,
    shown,
    tenths,
)
from ingest.reasons import Reason

_FIELDS: dict[str, tuple[str, Callable[[Any], int | float], int]] = {
    "signalStrength": ("rsrp_dbm", tenths, -32768),
    "linkQuality": ("rsrq_db", tenths, -32768),
    "signalECL": ("ecl", lambda v: v, 255),
    "cellId": ("cell_id", lambda v: v, 0xFFFF_FFFF),
    "signalPCI": ("pci", lambda v: v, 65_535),
}
"""Name → field, unit, and what means "not measured"."""
_EVENT_TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z")


def fits(payload: bytes) -> bool:
    """Whether it looks like it."""
    return payload.lstrip()[:1] == b"{" and b'"notifyType"' in payload


def translate(payload: bytes, stream: str) -> Translated:
    """A radio sample for each Connectivity service. Raises `FormatError`."""
    body = json_value(payload)
    if not isinstance(body, dict):
        raise FormatError(Reason.MALFORMED, "the body is no object")
    device = body.get("deviceId")
    if isinstance(device, str) and len(device) > MAX_NAME:
        raise FormatError(Reason.INVALID_FIELD, f"a deviceId of more than {MAX_NAME} characters")
    services = body.get("services", [body.get("service")])
    if not isinstance(services, list):
        raise FormatError(Reason.INVALID_FIELD, "services is no array")
    out = Translated([], [])
    for position, service in enumerate(services):
        if not isinstance(service, dict) or service.get("serviceId") != "Connectivity":
            continue  # a meter's own services are none of ours
        try:
            sample = _sample(service, device)
        except FormatError as error:
            out.faults.append(Fault(position, error.reason, error.detail))
        else:
            out.objects.append(sample)
    if not out.objects and not out.faults:
        raise FormatError(Reason.EMPTY, "no service Connectivity")
    return out


def _sample(service: Object, device: Any) -> Object:
    data = service.get("data")
    if not isinstance(data, dict):
        raise FormatError(Reason.INVALID_FIELD, "data is no object")
    sample: Object = {
        "stream": "radio", "technology": "nbiot", "time": _time_ms(service.get("eventTime")),
    }  # fmt: skip
    if isinstance(device, str):
        sample["device"] = device
    for key, (name, unit, absent) in _FIELDS.items():
        if data.get(key) is None:
            continue
        value = number_or_text(data[key])
        if value is None:
            raise FormatError(Reason.INVALID_FIELD, f"{key}: {shown(data[key])} is no number")
        if value != absent:
            sample[name] = unit(value)
    return sample


def _time_ms(text: Any) -> int:
    try:
        if not isinstance(text, str) or not _EVENT_TIME.fullmatch(text):
            raise ValueError
        at = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise FormatError(
            Reason.INVALID_FIELD, f"eventTime: {shown(text)} is not like 20180602T062810Z"
        ) from error
    return round(at.timestamp() * 1000)


OCEANCONNECT = Format("OceanConnect", ("application/vnd.oceanconnect+json",), fits, translate)
