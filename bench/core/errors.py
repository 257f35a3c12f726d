"""Errors that are shown to the user as one line."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can mend; the message is one line: what was expected, what came, what to do."""
