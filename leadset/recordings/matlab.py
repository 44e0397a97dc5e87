"""The matrix ``val`` of MATLAB files of every version."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from leadset.recordings.errors import ReadError
from leadset.recordings.matlab_files import Variable, read_variables
from leadset.recordings.storage import check_unpacked

# MATLAB v4: type (30 = little-endian, int16, full matrix), rows, columns, imaginary flag, length of the name with its
# final zero; then the name.
MAT4 = struct.Struct("<5i4s")
MAT4_INT16 = 30
#: The variable that holds the samples in the Challenge's files.
MATRIX = "val"
_HDF5 = b"\x89HDF\r\n\x1a\n"
# MATLAB v7.3 puts a text of this length in front of the HDF5 file.
_USER_BLOCK = 512


def read_matrix(path: Path, n_rows: int) -> np.ndarray:
    """``val`` (rows, columns): int16 v4 directly, v7.3 through h5py, anything else through `matlab_files`.

    Raises:
        ReadError: it is no MATLAB file, is damaged, or has no such matrix; the message names the variables that it has.
    """
    with open(path, "rb", buffering=0) as file:
        content = file.read()
    if len(content) < MAT4.size:
        raise ReadError(path, f"{len(content)} bytes", "a MATLAB file")
    kind, rows, columns, imaginary, name_length, name = MAT4.unpack_from(content)
    if (kind, imaginary, name_length, name) == (MAT4_INT16, 0, 4, b"val\0"):
        check_rows(path, (rows, columns), n_rows)
        n_columns = min((len(content) - MAT4.size) // (2 * rows), max(columns, 0))
        return np.frombuffer(content, "<i2", n_columns * rows, MAT4.size).reshape(n_columns, rows).T
    variables = _variables_73(path) if is_version_73(content) else read_variables(path, content)
    matrix = variables.get(MATRIX)
    if matrix is None:
        raise ReadError(path, f"variables {describe(variables)}", f"a matrix `{MATRIX}`")
    if not isinstance(matrix.value, np.ndarray) or matrix.value.ndim != 2 or matrix.value.dtype.kind not in "iuf":
        raise ReadError(path, f"variables {describe(variables)}", f"`{MATRIX}` of numbers ({n_rows}, samples)")
    check_rows(path, matrix.shape, n_rows)
    return matrix.value


def check_rows(path: str | Path, shape: tuple[int, int], expected: int) -> None:
    """Raises a `ReadError` where a matrix has another number of rows than a header has signal lines."""
    rows, columns = shape
    if rows != expected:
        size = f"{rows} rows of {columns} samples"
        raise ReadError(path, size, f"{expected}, one for each signal line of the header")


def is_version_73(content: bytes) -> bool:
    """Whether a file is one of MATLAB v7.3, which is HDF5 behind a line of text."""
    return content.startswith((_HDF5, b"MATLAB 7.3")) or content[_USER_BLOCK:].startswith(_HDF5)


def list_variables(path: Path) -> dict[str, Variable]:
    """The variables of a MATLAB file by name.

    Raises:
        ReadError: it is none, or is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReadError(path, str(error), "a readable file") from error
    return _variables_73(path) if is_version_73(content) else read_variables(path, content)


def describe(variables: Mapping[str, Variable]) -> str:
    """Names of variables with their shapes and types, as messages name what a file holds."""
    named = [f"{name} ({' x '.join(map(str, one.shape))} {one.kind})" for name, one in variables.items()]
    return ", ".join(named) or "none"


def _variables_73(path: Path) -> dict[str, Variable]:
    """What HDF5 holds: the numbers of the matrix, and of anything else what it is."""
    try:
        import h5py
    except ImportError as error:
        raise ReadError(path, "a MATLAB file of version 7.3, which is HDF5 (h5py is not installed)",
                        "another version (save with '-v7'), or the package: pip install leadset[formats]") from error
    variables = {}
    try:
        with h5py.File(path, "r") as file:
            for name in file:
                item = file.get(name)
                if name.startswith("#"):
                    continue
                if not isinstance(item, h5py.Dataset):
                    variables[name] = Variable((), "group")
                    continue
                value = None
                if name == MATRIX:
                    check_unpacked(path, path.stat().st_size, item.nbytes)
                    value = np.array(item).T  # MATLAB's first dimension is HDF5's last
                variables[name] = Variable(item.shape[::-1], str(item.dtype), value)
    except ReadError:
        raise
    except Exception as error:  # h5py meets damaged files with errors of many kinds
        raise ReadError(path, f"no HDF5 file that can be read ({error})", f"a matrix `{MATRIX}`") from error
    return variables
