"""How real modules and platforms write one NB-IoT sample: the other side of `ingest.formats`.

A function of a sample and its device each. A sample holds no more afterwards than the format can
say, and not finer: QENG and LwM2M know whole dBm, OceanConnect whole seconds and no SINR.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulators.formats import modules, platforms, senml
from simulators.messages import RadioSample


@dataclass(frozen=True, slots=True)
class Format:
    """``content_type`` is MQTT 5's; ``resolution_ms`` is of its times."""

    content_type: str
    encode: Callable[[RadioSample, str], bytes]
    resolution_ms: int = 1


NUESTATS = Format("text/x-nuestats", modules.nuestats)
QENG_BC26 = Format("text/x-qeng", modules.qeng_bc26)
QENG_BC660K = Format("text/x-qeng", modules.qeng_bc660k)
LWM2M_JSON = Format("application/senml+json", senml.lwm2m_json)
LWM2M_CBOR = Format("application/senml+cbor", senml.lwm2m_cbor)
OCEANCONNECT = Format("application/vnd.oceanconnect+json", platforms.oceanconnect, 1000)
UNICOM = Format("application/vnd.unicom+json", platforms.unicom)
