"""Recordings out of requests: files of any format that `leadset.recordings.read_recording` reads, or JSON samples.

Files lie in a temporary folder while they are read, under names of the server's own; the client's names only tell which
file a header means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from leadset.config import Serve
from leadset.leads import LEADS, names_beside, own_lead_names, signed_lead
from leadset.recordings import Header, ReadError, Recording, parse_header, read_raw, read_recording
from leadset.recordings.reader import assemble, read_header_text
from leadset.serve.problems import Problem, too_large, unreadable
from leadset.signals import HIGHEST_RATE, LOWEST_RATE

#: Millivolts in a unit that samples may be given in.
MILLIVOLTS: dict[str, float] = {"mV": 1.0, "uV": 1e-3, "V": 1e3}
#: Shortest recording in seconds.
SHORTEST_S = 1.0
_MOST_FILES = 16
_ENDING = re.compile(r"\.[a-z0-9]{1,8}")
_MOST_LEADS = 64


class Samples(BaseModel):
    """A recording as JSON."""

    model_config = ConfigDict(extra="forbid")

    samples: Annotated[
        list[list[float | None]],
        Field(description="one list of samples for each lead; null is a missing sample", min_length=1),
    ]
    fs: Annotated[float, Field(description="sampling rate in Hz", ge=LOWEST_RATE, le=HIGHEST_RATE)]
    leads: Annotated[list[str], Field(description="name of each lead, such as II or V1", min_length=1)]
    unit: Annotated[str, Field(description="of the samples", pattern=f"^({'|'.join(MILLIVOLTS)})$")] = "mV"
    name: Annotated[str, Field(description="returned with the answer", max_length=100)] = "recording"
    age: Annotated[float | None, Field(description="in years", ge=0, le=120)] = None
    sex: Annotated[str | None, Field(description="female or male", pattern="^(female|male)$")] = None


def recording_of_samples(given: Samples, lead_names: Mapping[str, str], limits: Serve) -> Recording:
    """The recording that JSON samples are.

    Raises:
        Problem: lists of different lengths, another number of names than of lists, a lead twice, none of the twelve
            leads, or a length beyond the limits.
    """
    lengths = sorted({len(row) for row in given.samples})
    if len(lengths) > 1:
        raise unreadable(f"samples: found lists of {lengths[0]} to {lengths[-1]} samples, expected equal lengths")
    if len(given.samples) != len(given.leads) or len(given.leads) > _MOST_LEADS:
        found = f"{len(given.leads)} names for {len(given.samples)} lists of samples"
        raise unreadable(f"leads: found {found}, expected one for each, at most {_MOST_LEADS}")
    _check_length(lengths[0], given.fs, limits)
    names = names_beside(given.leads, own_lead_names(lead_names))
    signed = [signed_lead(lead, names) for lead in given.leads]
    leads = tuple(lead for lead, _ in signed)
    if len(set(leads)) < len(leads) or not set(leads) & set(LEADS):
        raise unreadable(f"leads: found {', '.join(given.leads)}, expected distinct ones of {' '.join(LEADS)}")
    scale = np.array([[sign * MILLIVOLTS[given.unit]] for _, sign in signed])
    with np.errstate(over="ignore"):
        signal_mv = (np.array(given.samples, dtype=np.float64) * scale).astype(np.float32)
    return Recording(signal_mv, given.fs, leads, given.name, given.age, given.sex)


def grouped(files: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Files of several recordings by recording: a header takes those of its stem, any other file stands alone."""
    stems = {Path(name).stem for name in files if name.casefold().endswith(".hea")}
    groups: dict[str, dict[str, bytes]] = {}
    for name, content in files.items():
        stem = Path(name).stem
        groups.setdefault(stem if stem in stems else name, {})[name] = content
    return groups


def recording_of_files(files: Mapping[str, bytes], lead_names: Mapping[str, str], limits: Serve) -> Recording:
    """The recording that uploaded files are: a header with its signal files, or one file that holds everything.

    Args:
        files: contents by the names that the client gave.
        lead_names: as for `leadset.recordings.read_recording`.
        limits: of the server.

    Raises:
        Problem: no file, files that do not belong together, or contents that cannot be read.
    """
    contents = {_plain_name(name): content for name, content in files.items()}
    headers = [name for name in contents if name.casefold().endswith(".hea")]
    others = [name for name in contents if name not in headers]
    if not contents or len(contents) > _MOST_FILES or len(headers) > 1 or (not headers and len(others) > 1):
        listed = ", ".join(contents) or "no file"
        raise unreadable(f"found {listed}, expected a header (.hea) with its signal files, or one file")
    with TemporaryDirectory(prefix="leadset-") as folder:
        own = _write_under_own_names(Path(folder), contents)
        try:
            if headers:
                recording = _with_header(Path(folder), headers[0], others, own, lead_names, limits)
            else:
                recording = read_recording(Path(folder) / own[others[0]], lead_names)
        except (ReadError, OSError, ValueError) as error:
            raise unreadable(_in_clients_names(str(error) or type(error).__name__, folder, own)) from None
        _check_length(recording.signal.shape[1], recording.fs, limits)
        return replace(recording, path=None)


def _plain_name(name: str) -> str:
    """The last part of a client's file name, printable and short."""
    last = PurePosixPath(PureWindowsPath(name).name).name
    return "".join(c for c in last if c.isprintable())[-100:] or "file"


def _write_under_own_names(folder: Path, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Writes files; returns the server's name of each by the client's. Only a plain ending is kept of that."""
    own = {}
    for i, (name, content) in enumerate(contents.items()):
        ending = _ENDING.fullmatch(Path(name).suffix.casefold())
        own[name] = f"upload{i}{ending[0] if ending else ''}"
        (folder / own[name]).write_bytes(content)
    return own


def _with_header(
    folder: Path, name: str, signal_files: list[str], own: Mapping[str, str], lead_names: Mapping[str, str],
    limits: Serve,
) -> Recording:  # fmt: skip
    """Reads a header and the signal files that it names among the uploaded ones."""
    path = folder / own[name]
    header = parse_header(read_header_text(path), path, lead_names)
    if header.n_samples:
        _check_length(header.n_samples, header.fs, limits)
    named = {signal.file for signal in header.stored}
    if missing := sorted(named - set(signal_files)):
        uploaded = ", ".join(sorted(signal_files)) or "no other file"
        raise ReadError(path, uploaded, f"the signal files that the header names: {', '.join(missing)}")
    header = _renamed(header, own)
    return assemble(header, read_raw(header, folder), path, None)


def _renamed(header: Header, own: Mapping[str, str]) -> Header:
    stored, signals = (
        tuple(signal._replace(file=own[signal.file]) for signal in group) for group in (header.stored, header.signals)
    )
    return replace(header, stored=stored, signals=signals)


def _in_clients_names(message: str, folder: str, own: Mapping[str, str]) -> str:
    """A message about files of the server in the names that the client knows."""
    for name, kept in own.items():
        message = message.replace(f"{folder}/{kept}", name).replace(kept, name)
        message = message.replace(Path(kept).stem, Path(name).stem)
    return message.replace(f"{folder}/", "").replace(folder, "the upload")


def _check_length(samples: int, fs: float, limits: Serve) -> None:
    seconds = samples / fs
    if seconds < SHORTEST_S:
        raise unreadable(f"found {samples} samples at {fs:g} Hz, expected at least {SHORTEST_S:g} s")
    if seconds > limits.recording_s:
        raise too_large(f"found a recording of {seconds:.0f} s, expected at most {limits.recording_s:g} s")


def bad_json(detail: str) -> Problem:
    """The JSON of a request is not what was expected."""
    return Problem(422, "invalid_samples", "The JSON is no recording", detail)
