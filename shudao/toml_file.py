"""Read a TOML file into pydantic models; refuse a wrong one with its line and what would be right.

pydantic checks each value; a rule that spans several raises `wrong`, which names the key to blame,
so that the error can point at its line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from shudao.errors import ShudaoError
from shudao.toml_lines import KeyPath, key_lines, line_of
from shudao.vocabulary import TECHNOLOGY_IDS

WRONG = "wrong"
"""Type of the errors that `wrong` makes; their context has ``what`` and ``right``."""

Explain: TypeAlias = Callable[[KeyPath, ErrorDetails], tuple[str, str]]
"""Says what is wrong at a path, and what would be right."""


class Table(BaseModel):
    """A table of a file: nothing unknown in it, nothing converted, never changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


M = TypeVar("M", bound=Table)


def wrong(what: str, right: str, *blame: str | int) -> PydanticCustomError:
    """An error of our own: what is wrong, what would be right, and the key path to blame."""
    return PydanticCustomError(WRONG, "{what}", {"what": what, "right": right, "blame": blame})


def _known_technology(value: str) -> str:
    if value not in TECHNOLOGY_IDS:
        raise wrong(f"unknown technology '{value}'", f"use one of {', '.join(TECHNOLOGY_IDS)}")
    return value


Text = Annotated[str, Field(min_length=1)]
TechnologyName = Annotated[str, AfterValidator(_known_technology)]


def parse_toml(text: str, name: str, model: type[M], explain: Explain) -> M:
    """The text of a file as ``model``; ``name`` is used in errors.

    Raises `ShudaoError` with the line of the error that tells most, in the words of ``explain``.
    """
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(name, text, str(error)) from error
    except ValidationError as error:
        raise _first_error(name, text, error, explain) from error


def _syntax_error(name: str, text: str, message: str) -> ShudaoError:
    """tomllib ends its messages with "(at line 3, column 5)" or "(at end of document)"."""
    match = re.search(r"^(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    what, line, column = match.groups() if match else (message, None, None)
    where = f", column {column}" if column else ""
    return ShudaoError(
        f"{name}, line {line or len(text.splitlines())}{where}: not TOML: {what}",
        "strings stand in double quotes, dates and numbers without; see https://toml.io",
    )


def _first_error(name: str, text: str, error: ValidationError, explain: Explain) -> ShudaoError:
    lines = key_lines(text)

    def most_telling(blamed: tuple[KeyPath, ErrorDetails]) -> tuple[bool, int, int]:
        path, detail = blamed  # a misspelt key is also a missing one: missing ones come last
        return detail["type"] == "missing", line_of(path, lines), -len(path)

    found = sorted(_blamed(error), key=most_telling)
    path, detail = found[0]
    what, right = explain(path, detail)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ShudaoError(f"{name}, line {line_of(path, lines)}: {what}{more}", right)


def _blamed(error: ValidationError) -> list[tuple[KeyPath, ErrorDetails]]:
    return [
        ((*detail["loc"], *detail.get("ctx", {}).get("blame", ())), detail)
        for detail in error.errors(include_url=False)
    ]
