"""What is said of an error: one line, with the way out where there is one."""

import re

NO_MEMORY = re.compile(r"out of memory|allocate memory|not enough memory", re.IGNORECASE)
TRACEBACK = "NANOPOET_TRACEBACK"  # set: an error is not caught, and Python shows where it happened


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says, in Python's words or PyTorch's, that there is no memory left."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error)))


def with_type(error: BaseException) -> str:
    """The kind of an error, and the first line of what it says.

    >>> with_type(IndexError("list index out of range"))
    'IndexError: list index out of range'
    """
    first, *_ = str(error).strip().split("\n")
    return f"{type(error).__name__}: {first or 'no reason given'}"


def in_one_line(error: BaseException) -> str:
    """An error as one line. One that nobody has foreseen is not made to look as if it had been.

    >>> in_one_line(ValueError("no run 'quick'"))
    "no run 'quick'"
    >>> in_one_line(RuntimeError("boom"))
    'RuntimeError: boom (unforeseen; NANOPOET_TRACEBACK=1 before the command shows where)'
    """
    if lacks_memory(error):
        return "not enough memory: ask for less at once, or close other programs"
    if isinstance(error, (ValueError, OSError)):
        return " ".join(str(error).split("\n")) or type(error).__name__
    return f"{with_type(error)} (unforeseen; {TRACEBACK}=1 before the command shows where)"
