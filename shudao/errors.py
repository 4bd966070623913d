"""The one error that a user sees: what is wrong, and what to do next."""

from __future__ import annotations


class ShudaoError(Exception):
    """A failure that the user can act on.

    The command line prints it as one line (no traceback) and exits with 1; the API answers
    with a problem document. ``message`` says what is wrong, ``hint`` what to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} → {self.hint}" if self.hint else self.message
