"""Leads by the numbers that SCP-ECG (EN 1064, 5.6.3), DICOM (PS3.16 CID 3001) and ISO/IEEE 11073-10102 share."""

from __future__ import annotations

import re

_NUMBERS: dict[int, str] = {
    1: "I", 2: "II", 3: "V1", 4: "V2", 5: "V3", 6: "V4", 7: "V5", 8: "V6", 9: "V7", 10: "V2R", 11: "V3R", 12: "V4R",
    13: "V5R", 14: "V6R", 15: "V7R", 16: "X", 17: "Y", 18: "Z", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF",
    65: "-aVR", 66: "V8", 67: "V9",
}  # fmt: skip
# ``2:1`` of MDC, ``5.6.3-9-1`` of SCPECG.
_CODE = re.compile(r"(?:2:|5\.6\.3-9-)(\d{1,3})")


def lead_of_code(code: str) -> str:
    """The lead that a code stands for; empty where it stands for none."""
    match = _CODE.fullmatch(code.strip())
    if match:
        return _NUMBERS.get(int(match[1]), "")
    return code if code.upper().startswith("MDC_ECG_LEAD_") else ""
