"""Errors that are shown to the user as one line, and the text of any error in one line."""

from __future__ import annotations

import errno

MOST_CHARACTERS = 300  # of an error's message in a cell
MOST_OF_NAME = 100  # of the name of its class
# too little memory or disk, too few handles or threads: the same call may succeed later or on another machine
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


class OneLine(Exception):
    """An error whose message is shown by itself: one printable line, whatever names from files it holds."""

    def __init__(self, message: object = "") -> None:
        super().__init__(escaped(str(message)))


class UserError(OneLine):
    """An error that the user can mend; the message is one line: what was expected, what came, what to do."""


class Broken(UserError):
    """A data set or a prior of a suite could not be made: what depends on it reports that, and the rest goes on."""


def one_line(error: BaseException) -> str:
    """Return kind and first line of an error, printable whatever it holds, e.g. `ValueError: no convergence`."""
    try:
        message = str(error).strip() or "no message"
    except Exception:  # a user's class may raise anything in __str__
        message = "its message cannot be read"
    # `type.__dict__` since a metaclass may give the class another `__name__`, which is no text or raises
    name = type.__dict__["__name__"].__get__(type(error))
    return f"{printable(name, MOST_OF_NAME)}: {printable(message.splitlines()[0])}"


def printable(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return text with control characters and lone surrogates, which no page can show, escaped; long text is cut."""
    return escaped(text if len(text) <= most else f"{text[: most - 3]}...")


def escaped(text: str) -> str:
    """Return text in one line that no terminal takes for a command: what is not printable is written as in Python."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def is_shortage(error: BaseException) -> bool:
    """Return whether an error comes from a shortage of memory, disk or threads, and not from the method itself."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        return True
    if not isinstance(error, (RuntimeError, OSError, ImportError)):
        return False
    message = one_line(error).lower()
    return any(words in message for words in WORDS_OF_SHORTAGE)
