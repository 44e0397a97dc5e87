"""GE MUSE XML (``RestingECG``): usually eight leads, the other four follow from I and II."""

from __future__ import annotations

from leadset.recordings.formats.contents import Format
from leadset.recordings.formats.kit import LIBRARY, reader
from leadset.recordings.formats.xml import MOST_BYTES, has_root

FORMAT = Format(
    "GE MUSE XML", (".xml",), has_root("restingecg"), reader("ge_muse_xml", "GEMuseXMLParser"), LIBRARY, MOST_BYTES
)
