"""What two carriers' IoT platforms push for a device."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from simulators.messages import RadioSample


def oceanconnect(sample: RadioSample, device: str) -> bytes:
    """Huawei OceanConnect (China Telecom): tenths of dBm and dB, whole seconds; ingest cannot read
    its SNR, whose unit differs between modules, so none is sent."""
    data = {
        "signalStrength": _tenths(sample.rsrp_dbm), "linkQuality": _tenths(sample.rsrq_db),
        "signalECL": sample.ecl, "cellId": sample.cell_id, "signalPCI": sample.pci, "mode": 2,
    }  # fmt: skip
    at = datetime.fromtimestamp(sample.time / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    service = {"serviceId": "Connectivity", "eventTime": at, "data": data}
    body = {"notifyType": "deviceDatasChanged", "deviceId": device, "services": [service]}
    return msgspec.json.encode(body)


def unicom(sample: RadioSample, device: str) -> bytes:
    """China Unicom: numbers and times as text, dB of SINR whole."""
    values = {
        "rsrp": sample.rsrp_dbm, "rsrq": sample.rsrq_db, "signalECL": sample.ecl,
        "sinr": None if sample.sinr_db is None else round(sample.sinr_db),
        "cellID": sample.cell_id,
    }  # fmt: skip
    entries = [
        {"key": key, "value": str(value), "ts": str(sample.time)}
        for key, value in values.items()
        if value is not None
    ]
    return msgspec.json.encode(
        {"messageId": f"{device}-{sample.time}", "params": {"data": entries}}
    )


def _tenths(value: float | None) -> int | None:
    return None if value is None else round(10 * value)
