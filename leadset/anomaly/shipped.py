"""The detector that ships, on any lead set: one network, cut, and what simulated normal recordings score."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from leadset.anomaly.detector import ARCHITECTURE, Detector, DetectorFiles
from leadset.anomaly.reference import Reference
from leadset.leads import LEAD_SETS, lead_set_name, sort_leads, with_derived
from leadset.models.shipped import FOLDER, load_shipped

#: Folder of the references below that of the weights, and the file in it that describes them by lead set.
REFERENCES, DESCRIPTION = "references", "references.json"


def write_reference(folder: Path, reference: Reference, leads: Sequence[str]) -> None:
    """Writes the reference of a lead set beside the weights in a folder."""
    name, references = lead_set_name(leads), folder / REFERENCES
    references.mkdir(exist_ok=True)
    files = DetectorFiles(reference=f"{name}.safetensors", n=reference.n, part=reference.part)
    files.write_reference(references, reference)
    description = references / DESCRIPTION
    known = json.loads(description.read_text()) if description.exists() else {}
    description.write_text(json.dumps(known | {name: files.to_json()}, indent=1) + "\n")


def shipped_detector(leads: Iterable[str], folder: Path = FOLDER) -> Detector:
    """The detector for recordings with these leads: that of their lead set, or of the largest one that they contain.

    Limb leads that follow from two others are there too. Where not one lead set is there, the network is cut to the
    leads, and has no reference.

    Raises:
        ValueError: no lead of the twelve; the files are missing or damaged.
    """
    own = sort_leads(leads)
    have = with_derived(own)
    inside = [one for one in LEAD_SETS.values() if set(one) <= set(have)]
    if not inside:
        model = load_shipped(ARCHITECTURE, sort_leads(have), folder=folder)
        return Detector(model, no_reference="there is none for these leads")
    chosen = own if own in inside else max(inside, key=len)
    files = DetectorFiles.from_json(json.loads((folder / REFERENCES / DESCRIPTION).read_text())[lead_set_name(chosen)])
    model = load_shipped(ARCHITECTURE, chosen, folder=folder)
    return Detector(model, files.scoring, files.read_reference(folder / REFERENCES, chosen), no_reference=files.part)
