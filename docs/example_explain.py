"""Draws docs/explain.png: what the shipped entry's answer about a simulated recording rests on.

    python docs/example_explain.py [OUTPUT.png]
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import leadset
from leadset.explain import explain
from leadset.leads import LEADS
from leadset.plots import SheetOptions, draw_measured_sheet, findings_of
from leadset.plots.attributions import attribution_layer
from leadset.simulate import simulate
from leadset.utils.files import write_atomically

#: Dots per inch, and few colours: small enough for a page that loads at once.
DPI, COLOURS = 90, 128
LABEL, SEED = "PVC", 8


def main(target: Path) -> None:
    """Writes the picture."""
    from PIL import Image

    made = simulate(1, seed=SEED, labels=LABEL, marks=False)
    recording = leadset.Recording(
        made.signals[0], made.rate, LEADS, name="simulated recording", age=float(made.ages[0]),
        sex=made.sexes[0].casefold(),
    )  # fmt: skip
    entry = leadset.load_entry()
    found = explain(entry, recording, [LABEL])
    layer = attribution_layer(found.classes[0].map, found.rate, found.leads, LABEL)
    figure = draw_measured_sheet(
        recording, SheetOptions("12x1", date="simulated"), marks=found.delineation, show_marks=False,
        attribution=layer, answer=findings_of(found.answer, entry.space),
    )  # fmt: skip
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    with write_atomically(target, "wb") as file:
        few = Image.open(drawn).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
        few.save(file, format="png", optimize=True, dpi=(DPI, DPI))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("explain.png"))
