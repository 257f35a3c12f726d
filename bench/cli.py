"""How every command ends: quietly, or with one line that says what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench.artefacts import ArtefactError


class UserError(Exception):
    """One line for the user: what was expected, what came, what to do."""


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments; errors meant for the user become one line and exit status 1."""
    try:
        main(*sys.argv[1:])
    except (ArtefactError, UserError) as error:
        sys.exit(f"error: {error}")
