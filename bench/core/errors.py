"""Errors that are shown to the user as one line, and the text of any error in one line."""

from __future__ import annotations

import errno

MOST_CHARACTERS = 300  # of an error's message in a cell
MOST_OF_NAME = 100  # of the name of its class
# too little memory or disk, too few handles or threads, a network that is down: the same call may succeed later or on
# another machine
_OF_MACHINE = "ENOMEM ENOSPC EDQUOT EFBIG EROFS EIO EMFILE ENFILE EAGAIN ESTALE ENOLCK EBUSY"
_OF_NETWORK = "ETIMEDOUT ECONNRESET ECONNREFUSED ECONNABORTED ENETDOWN ENETUNREACH EHOSTUNREACH"
SHORTAGES = {
    getattr(errno, name) for name in f"{_OF_MACHINE} {_OF_NETWORK}".split() if hasattr(errno, name)
}
WORDS_OF_SHORTAGE = (
    "allocate memory",
    "out of memory",
    "out of shared memory",
    "bad_alloc",
    "alloc_failed",  # of cuBLAS and cuDNN
    "resource_exhausted",
    "no space left",
    "start new thread",
    "too many open files",
    "resource temporarily unavailable",
    "busy or unavailable",  # of a GPU that another process has
    "uncorrectable ecc error",
    "killed by signal",  # of a process that the code has started
    "terminated abruptly",
    "died with <signals.sig",
    "name resolution",
    "network is unreachable",
)
FAULTS_OF_CODE = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError)
FAULTS_OF_CODE += (TypeError, ValueError)  # whatever their messages say


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
    """Return whether an error comes from a shortage of the machine, and not from the method itself.

    A shortage that was handled by raising another error counts, too, and so does one in a group.
    """
    seen, left = set[int](), [error]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        if _tells_of_shortage(one):
            return True
        seen.add(id(one))
        others = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        left += [other for other in (one.__cause__, one.__context__, *others) if other is not None]
    return False


def _tells_of_shortage(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno in SHORTAGES:
        return True
    if not isinstance(error, Exception) or isinstance(error, FAULTS_OF_CODE):
        return False
    try:
        message = str(error).lower()
    except Exception:  # a user's class may raise anything in __str__
        return False
    return any(words in message for words in WORDS_OF_SHORTAGE)
