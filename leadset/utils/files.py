"""Writing files so that a reader never sees half of one, and one process at a time into a folder."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import IO

# A temporary file names the process that writes it, and where that runs: machines and containers may share a folder.
_TEMPORARY = re.compile(r"\..+\.(\d+)-([0-9a-f]{8})\.tmp", re.DOTALL)


def folder_to_write(path: str | Path) -> Path:
    """The path of a folder that can be made, or is one; as the ``type`` of a verb's argument, before all its work.

    Raises:
        NotADirectoryError: it, or what it would lie in, is a file.
    """
    path = Path(path)
    nearest = next((place for place in (path, *path.parents) if place.exists()), None)
    if nearest is not None and not nearest.is_dir():
        raise NotADirectoryError(f"{nearest}: a file, expected a folder to write")
    return path


@contextmanager
def write_atomically(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Opens a temporary file beside ``path`` that takes its place when the block ends without an error.

    The folder is made if missing. After an error or a kill, ``path`` is what it was before; what a killed process has
    left in the folder is removed by the next one. Text is UTF-8; in names of files that are none, their bytes stay.

    Raises:
        OSError: the file cannot be written, which the message names; as far as that can be known, before the block is
            entered.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder, expected a file to write")
    folder_to_write(path.parent).mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent.absolute())
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{_here()}.tmp")
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


@cache
def _remove_leftovers(folder: Path) -> None:
    """Removes temporary files of processes that are no more; once for each folder, as it may hold many files."""
    with suppress(OSError):
        for name in os.listdir(folder):
            written = _TEMPORARY.fullmatch(name)
            if written and written[2] == _here() and not _is_running(int(written[1])):
                (folder / name).unlink(missing_ok=True)


@cache
def _here() -> str:
    """What tells machines and containers apart, in none of which another's processes are known."""
    try:
        processes = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        processes = 0
    return blake2b(f"{socket.gethostname()} {processes}".encode(), digest_size=4).hexdigest()


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere asking would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


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
