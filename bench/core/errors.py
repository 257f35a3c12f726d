"""Errors that are shown to the user as one line."""

from __future__ import annotations


class UserError(Exception):
    """One line for the user: what was expected, what came, what to do."""
