"""The ``shudao`` command: one module per subcommand, imported when it is needed."""

from __future__ import annotations
