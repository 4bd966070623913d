"""``python -m shudao`` is ``shudao``."""

from shudao.cli import main

main()
