"""A model folder as one file: packed with digests, and unpacked with nothing believed that the file says."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from leadset.entry import card
from leadset.entry.manifest import FILE_NAME, Manifest
from leadset.utils.files import write_atomically

#: Name and format of the list of digests.
DIGESTS, FORMAT = "digests.json", 1
#: What names of packed entries end in.
ENDING = ".zip"
_ENDINGS = (".json", ".safetensors", ".md", ".toml", ".csv")
# Bounds of what is unpacked: an entry of all architectures on all lead sets stays far below.
_MOST_FILES, _MOST_BYTES, _LONGEST_LIST = 1000, 8 << 30, 1 << 20
_BLOCK = 1 << 20


def pack(folder: str | Path, output: str | Path) -> list[str]:
    """Writes the files of a model folder that `entry.json` names, and its card; returns their names.

    What is left of training, such as the split with its names of recordings, stays behind.

    Raises:
        FileNotFoundError: no entry, or a file that it names is missing.
        ValueError: the entry is damaged.
    """
    folder = Path(folder)
    manifest = Manifest.read(folder)
    manifest.space_in(folder)  # refuses one that has changed
    cards = [card.FILE_NAME] if (folder / card.FILE_NAME).is_file() else []
    names = [FILE_NAME, *cards, *manifest.space_files(folder), *manifest.files()]
    digests = {}
    with write_atomically(output, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            path = folder / name
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such file, and {FILE_NAME} names it")
            # Weights do not get smaller, and stored files are read faster.
            kind = zipfile.ZIP_STORED if path.suffix == ".safetensors" else zipfile.ZIP_DEFLATED
            archive.write(path, name, kind)
            digests[name] = {"sha256": _digest(path), "bytes": path.stat().st_size}
        archive.writestr(DIGESTS, json.dumps({"format": FORMAT, "files": digests}, indent=1))
    return names


def unpack(package: str | Path, folder: str | Path) -> list[str]:
    """Unpacks a file of `pack` into a folder; returns the names of what it held.

    Every file is checked before it gets its name: a plain name inside the folder, of a known kind, of the size and
    digest that the list says. Nothing is run.

    Raises:
        OSError: no such file, or the folder cannot be written.
        ValueError: it is no such file, or something in it is not as its list says.
    """
    package, folder = Path(package), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(package) as archive:
            listed = _read_list(archive, package)
            for name, about in listed.items():
                _extract(archive, name, about, package, folder)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{package}: not a packed entry: {error}") from error
    except OSError as error:
        if error.filename is not None:
            raise
        raise ValueError(f"{package}: not a packed entry: found {error}, expected offsets inside it") from error
    if FILE_NAME not in listed:
        raise ValueError(f"{package}: found no {FILE_NAME}, expected a packed entry")
    return list(listed)


def _read_list(archive: zipfile.ZipFile, package: Path) -> dict[str, dict[str, Any]]:
    """The checked list of digests."""
    there = {item.filename: item for item in archive.infolist()}
    if DIGESTS not in there or there[DIGESTS].file_size > _LONGEST_LIST:
        raise ValueError(f"{package}: found no list {DIGESTS}, or too long a one, expected a packed entry")
    with archive.open(DIGESTS) as file:
        content = file.read(_LONGEST_LIST)
    try:
        values = json.loads(content)
        listed = {str(name): (str(about["sha256"]), int(about["bytes"])) for name, about in values["files"].items()}
        version = values["format"]
    except Exception as error:  # what is not of this kit is wrong in many ways
        raise ValueError(f"{package}: {DIGESTS} is no list: {type(error).__name__}: {error}") from error
    if version != FORMAT:
        raise ValueError(f"{package}: found format {version!r}, expected {FORMAT}")
    for name in listed:
        if PurePosixPath(name).name != name or "\\" in name or name.startswith(".") or not name.endswith(_ENDINGS):
            raise ValueError(f"{package}: found {name!r}, expected plain names that end in {', '.join(_ENDINGS)}")
    if len(there) != len(archive.infolist()) or there.keys() != {*listed, DIGESTS}:
        strange = sorted(there.keys() ^ {*listed, DIGESTS})
        raise ValueError(f"{package}: found {', '.join(strange[:3]) or 'a name twice'}, expected what {DIGESTS} lists")
    total = sum(size for _, size in listed.values())
    if len(listed) > _MOST_FILES or total > _MOST_BYTES or min(size for _, size in listed.values()) < 0:
        raise ValueError(f"{package}: {len(listed)} files of {total} bytes, expected at most {_MOST_BYTES}")
    for name, (_, size) in listed.items():
        if there[name].file_size != size:
            raise ValueError(f"{package}: {name} has {there[name].file_size} bytes, expected {size}")
    return {name: {"sha256": digest, "bytes": size} for name, (digest, size) in listed.items()}


def _extract(archive: zipfile.ZipFile, name: str, about: dict[str, Any], package: Path, folder: Path) -> None:
    """Writes one file, unless its size or digest is another than the list says."""
    found, left = hashlib.sha256(), about["bytes"]
    with archive.open(name) as source, write_atomically(folder / name, "wb") as target:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                break
            found.update(block)
            target.write(block)
        if left or found.hexdigest() != about["sha256"]:
            raise ValueError(f"{package}: {name} is not what {DIGESTS} says, the file is damaged or was changed")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
