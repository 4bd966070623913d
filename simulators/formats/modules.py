"""AT responses, with the sender's time before them (an AT response has none)."""

from __future__ import annotations

from simulators.messages import RadioSample

_NOT_MEASURED = -32768
_BANDS = ((2400, 2649, 5), (3450, 3799, 8), (9210, 9659, 28))
"""First and last downlink EARFCN of the NB-IoT bands in use, TS 36.101 table 5.7.3-1."""


def nuestats(sample: RadioSample, device: str) -> bytes:
    """AT+NUESTATS of BC95 and M5310: tenths of dBm and dB."""
    lines = {
        "time": sample.time,
        "Signal power": _tenths(sample.rsrp_dbm),
        "Total power": _tenths(_total_power(sample)),
        "TX power": _tenths(sample.tx_power_dbm),
        "Cell ID": 0xFFFF_FFFF if sample.cell_id is None else sample.cell_id,
        "ECL": 255 if sample.ecl is None else sample.ecl,
        "SNR": _tenths(sample.sinr_db),
        "EARFCN": 0xFFFF_FFFF if sample.earfcn is None else sample.earfcn,
        "PCI": 65_535 if sample.pci is None else sample.pci,
        "RSRQ": _tenths(sample.rsrq_db),
    }
    return "".join(f"{label}:{value}\n" for label, value in lines.items()).encode()


def qeng_bc26(sample: RadioSample, device: str) -> bytes:
    """AT+QENG=0 of an older BC26, whose transmit power is in tenths of dBm."""
    return _qeng(sample, "BC26", 10)


def qeng_bc660k(sample: RadioSample, device: str) -> bytes:
    """AT+QENG=0 of a BC660K, whose transmit power is in dBm."""
    return _qeng(sample, "BC660K-GL", 1)


def _qeng(sample: RadioSample, module: str, power_scale: int) -> bytes:
    """Whole dBm and dB, empty where not measured; connected, so that the ECL is valid."""
    cell = sample.cell_id
    values = (
        sample.earfcn, 0, sample.pci, "" if cell is None else f'"{cell:08X}"',
        _whole(sample.rsrp_dbm), _whole(sample.rsrq_db), _whole(_total_power(sample)),
        _whole(sample.sinr_db), _band(sample.earfcn),
        "" if cell is None else f'"{cell >> 12 & 0xFFFF:04X}"', sample.ecl,
        _whole(sample.tx_power_dbm, power_scale), 2,
    )  # fmt: skip
    serving = ",".join("" if value is None else str(value) for value in values)
    text = f"time:{sample.time}\nmodule:{module}\n+CSCON: 0,1\n+QENG: 0,{serving}\n"
    return text.encode()


def _total_power(sample: RadioSample) -> float | None:
    """NRSSI in dBm: NRSRQ is NRSRP over it (TS 36.214 5.1.26)."""
    if sample.rsrp_dbm is None or sample.rsrq_db is None:
        return None
    return sample.rsrp_dbm - sample.rsrq_db


def _band(earfcn: int | None) -> int | None:
    known = (band for low, high, band in _BANDS if earfcn is not None and low <= earfcn <= high)
    return next(known, None)


def _tenths(value: float | None) -> int:
    return _NOT_MEASURED if value is None else round(10 * value)


def _whole(value: float | None, scale: int = 1) -> int | None:
    return None if value is None else round(scale * value)
