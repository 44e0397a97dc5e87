"""Philips Sierra XML 1.03 and 1.04 (``restingecgdata``), with waveforms compressed or not."""

from __future__ import annotations

from leadset.recordings.formats.contents import Format
from leadset.recordings.formats.kit import LIBRARY, reader
from leadset.recordings.formats.xml import has_root

# Its compression makes up to some hundred times as many samples of a file that is made for it.
_MOST_BYTES = 4 << 20

FORMAT = Format(
    "Philips XML", (".xml",), has_root("restingecgdata"), reader("sierra_xml", "SierraXMLParser"), LIBRARY, _MOST_BYTES
)
