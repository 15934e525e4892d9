"""Files that are whole or not there: at every moment the old one or the new one."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoRoomError(OSError):
    """A full disk, a quota, or a limit on the size of files; with the file that it stopped."""

    def __str__(self) -> str:
        return f"no room for {self.filename}: {self.strerror}"


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Raise `NoRoomError` for `path` where there is no room, whatever else went wrong after that.

    PyTorch, for one, ends in a `RuntimeError` of its own when it cannot write.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in FULL:
                raise NoRoomError(cause.errno, cause.strerror, str(path)) from error
            cause = cause.__context__
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write; afterwards that file takes the place of `path`, unless writing failed.

    It stands in the same folder under a name of this process, so that two may write at once.

    Raises `NoRoomError`, with nothing left behind.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> poem = Path(folder.name) / "poem.txt"
    >>> with replacing(poem) as temporary:
    ...     _ = temporary.write_text("明月", "utf-8")
    >>> [path.name for path in poem.parent.iterdir()]
    ['poem.txt']
    >>> folder.cleanup()
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with room_for(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
