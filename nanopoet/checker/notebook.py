"""A notebook handed in as answers: its cells of code as one file of exercises."""

import json
import re

from nanopoet.checker.tasks import modules

# The line that names a file of exercises, as chapters have it.
MARK = re.compile(r"^#\s*exercises/(\w+)\.py\s*$", re.MULTILINE)
MAGIC = re.compile(r"^([%!?].*)$", re.MULTILINE)


class NotebookError(ValueError):
    """A file that is no notebook, or one without code."""


def module_named(stem: str) -> str:
    """The file of exercises that a name speaks of; nothing if it speaks of none, of several, or of
    its test.

    >>> module_named("Zhang San_1234_attention"), module_named("test_attention")
    ('attention', '')
    """
    words = set(re.split(r"[\W_\d]+", stem.lower()))
    found = [module for module in modules() if module in words]
    return found[0] if len(found) == 1 and "test" not in words else ""


def source_of(notebook: bytes) -> str:
    """The cells of code, one below the other; lines for IPython become comments.

    Raises `NotebookError`.
    """
    try:
        cells = json.loads(notebook)["cells"]
        parts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotebookError("is not a notebook") from None
    if not parts:
        raise NotebookError("has no cells of code")
    kept = [part for part in parts if not part.lstrip().startswith("%%")]
    return "\n\n\n".join(MAGIC.sub(r"# \1", part) for part in kept) + "\n"


def module_of(source: str, stem: str) -> str:
    """Which file of exercises a notebook stands for: its own line says it, or else its name."""
    named = [name for name in MARK.findall(source) if name in modules()]
    return named[0] if named else module_named(stem)
