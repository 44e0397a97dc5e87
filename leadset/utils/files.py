"""Writing files so that a reader never sees half of one, and one process at a time into a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def write_atomically(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Opens a temporary file beside ``path`` that takes its place when the block ends without an error.

    The folder is made if missing. After an error or a kill, ``path`` is what it was before. Text is UTF-8; in names of
    files that are none, their bytes stay.

    Raises:
        OSError: the file cannot be written, which the message names; as far as that can be known, before the block is
            entered.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder, expected a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = {} if "b" in mode else {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    try:
        with open(temporary, mode, **text) as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is not None:
            raise
        # Of a full disk, say, the system names no file; NumPy gives no number either.
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def only_one(file: str | Path, doing: str) -> Iterator[None]:
    """Keeps other processes out of the same block; a process that ends, however it does, leaves it.

    Args:
        file: made if missing, and locked; where the file system knows no locks, nobody is kept out.
        doing: what the process does there, for the message.

    Raises:
        BlockingIOError: another process is in it.
        OSError: the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(file, "a", encoding="utf-8") as locked:
        try:
            fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = f"another process is {doing}, expected none: wait for it, or name another folder"
            raise BlockingIOError(errno.EWOULDBLOCK, found, str(file)) from None
        except OSError:
            pass
        yield
