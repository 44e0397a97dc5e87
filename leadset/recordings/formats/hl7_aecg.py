"""HL7 annotated ECG: ANSI/HL7 V3 ECG R1-2004, leads by their MDC codes."""

from __future__ import annotations

from leadset.recordings.formats.contents import Format
from leadset.recordings.formats.kit import LIBRARY, reader
from leadset.recordings.formats.xml import MOST_BYTES, has_root

_read = reader("hl7_aecg", "HL7aECGParser", lambda said: [said["rhythm_time"]["sampling_rate_exact"]])

FORMAT = Format("HL7 aECG", (".xml",), has_root("annotatedecg"), _read, LIBRARY, MOST_BYTES)
