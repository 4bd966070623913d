"""The content type of a message, in the one form that decoders compare."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=256)
def media_type(content_type: str) -> str:
    """Lower case, without parameters: ``Application/JSON; charset=utf-8`` → application/json."""
    return content_type.partition(";")[0].strip().lower()
