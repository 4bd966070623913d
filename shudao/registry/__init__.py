"""The registry: which divisions there are, where they lie, and how they get into the database."""

from shudao.registry.tree import (
    DEFAULT_VINTAGE,
    DEVELOPMENT_ZONES,
    VINTAGES,
    Division,
    Tree,
    read_vintage,
)

__all__ = [
    "DEFAULT_VINTAGE",
    "DEVELOPMENT_ZONES",
    "VINTAGES",
    "Division",
    "Tree",
    "read_vintage",
]
