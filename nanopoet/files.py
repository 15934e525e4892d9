"""Files that are whole or not there."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a text file whole or not at all; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file")
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two programs may write at once
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
