"""Files that are whole or not there."""

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; its folder is made if need be. Text becomes UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file")
    if path.exists() and not path.is_file():  # a device would be replaced, not written to
        raise OSError(f"{path} is not a file")
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two programs may write at once
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
