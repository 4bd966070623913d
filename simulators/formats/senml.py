"""LwM2M's object 4, connectivity monitoring, in SenML (RFC 8428; OMA registry, 4.xml 1.3)."""

from __future__ import annotations

from typing import Any

import cbor2
import msgspec

from simulators.messages import RadioSample

_NBIOT_BEARER = 7
_CBOR_LABELS = {"bn": -2, "bt": -3, "n": 0, "v": 2}


def lwm2m_json(sample: RadioSample, device: str) -> bytes:
    """As SenML JSON."""
    return msgspec.json.encode(_pack(sample))


def lwm2m_cbor(sample: RadioSample, device: str) -> bytes:
    """As SenML CBOR."""
    return cbor2.dumps([{_CBOR_LABELS[k]: v for k, v in r.items()} for r in _pack(sample)])


def _pack(sample: RadioSample) -> list[dict[str, Any]]:
    """Resources of instance 0, whole numbers all of them; 13 is the CE level + 1."""
    resources = {
        0: _NBIOT_BEARER, 2: sample.rsrp_dbm, 3: sample.rsrq_db, 8: sample.cell_id,
        11: sample.sinr_db, 13: None if sample.ecl is None else sample.ecl + 1,
    }  # fmt: skip
    pack: list[dict[str, Any]] = [
        {"n": str(number), "v": round(v)} for number, v in resources.items() if v is not None
    ]
    return [{"bn": "/4/0/", "bt": sample.time / 1000} | pack[0], *pack[1:]]
