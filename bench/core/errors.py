"""Errors that are shown to the user as one line, and what any error says in one."""

from __future__ import annotations

import errno

MOST_CHARACTERS = 300  # of an error's message in a cell
# of memory, disk, handles and threads: what another day or another machine has
SHORTAGES = {
    getattr(errno, name)
    for name in ("ENOMEM", "ENOSPC", "EDQUOT", "EIO", "EMFILE", "ENFILE", "EAGAIN", "ESTALE")
    if hasattr(errno, name)
}
WORDS_OF_SHORTAGE = (
    "allocate memory",
    "out of memory",
    "bad_alloc",
    "no space left",
    "start new thread",
)


class UserError(Exception):
    """An error that the user can mend; the message is one line: what was expected, what came, what to do."""


class Broken(UserError):
    """A part of a suite, a data set or a prior, came to nothing: what rests on it says so, and the others go on."""


def one_line(error: BaseException) -> str:
    """Return kind and first line of an error, printable whatever it holds, e.g. `ValueError: no convergence`."""
    try:
        message = str(error).strip() or "no message"
    except Exception:  # of a class of the user's
        message = "its message cannot be read"
    return f"{type(error).__name__}: {printable(message.splitlines()[0])}"


def printable(text: str) -> str:
    """Return text in which what no page can show (control characters, lone surrogates) is escaped; long text is cut."""
    cut = text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut
    )


def is_shortage(error: BaseException) -> bool:
    """Return whether an error is for want of memory, disk or threads, and not the method's own."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        return True
    told = isinstance(error, (RuntimeError, OSError, ImportError)) and one_line(error).lower()
    return bool(told) and any(words in told for words in WORDS_OF_SHORTAGE)
