"""Philips Sierra XML 1.03 and 1.04 (``restingecgdata``), with waveforms compressed or not."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from leadset.recordings.errors import ReadError
from leadset.recordings.formats.contents import Contents, Format, Layout
from leadset.recordings.formats.kit import LIBRARY, reader
from leadset.recordings.formats.xml import has_root

# Its compression makes up to some hundred times as many samples of a file that is made for it.
_MOST_BYTES = 4 << 20

_parse = reader("sierra_xml", "SierraXMLParser")


def _read(path: Path, layout: Layout | None, lead_names: Mapping[str, str] | None) -> Contents:
    contents = _parse(path, layout, lead_names)
    leads, samples = contents.counts.shape
    stored = _stored(path)
    # Leads follow each other: with another length than theirs, each would begin inside of another one.
    if stored not in (None, leads * samples):
        expected = f"{samples} of each, as its `durationperchannel` says"
        raise ReadError(path, f"{stored} samples of {leads} leads", expected)
    return contents


def _stored(path: Path) -> int | None:
    """How many samples a file holds; None where they are compressed."""
    waveforms = ElementTree.parse(path).find(".//{*}parsedwaveforms")
    if waveforms is None:
        return None
    method = waveforms.get("compression") or waveforms.get("compressmethod") or "none"
    is_plain = waveforms.get("compressflag", "").strip().casefold() in ("false", "no", "f", "0")
    if method.strip().casefold() not in ("uncompressed", "none") and not is_plain:
        return None
    text = "".join(waveforms.itertext())
    if waveforms.get("dataencoding") == "Plain":
        return len(text.split())
    return len(base64.b64decode(text)) // 2


FORMAT = Format("Philips XML", (".xml",), has_root("restingecgdata"), _read, LIBRARY, _MOST_BYTES)
