"""Draws docs/sheet.png: the sheet of a simulated recording with marks, measurements and what the shipped entry says.

    python docs/example_sheet.py [OUTPUT.png]
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import leadset
from leadset.leads import LEADS
from leadset.plots import SheetOptions, draw_measured_sheet, findings_of
from leadset.simulate import simulate
from leadset.utils.files import write_atomically

#: Four dots to a millimetre, and few colours: small enough for a page that loads at once.
DPI, COLOURS = 4 * 25.4, 32
LABEL, SEED = "RBBB", 12


def main(target: Path) -> None:
    """Writes the picture."""
    from PIL import Image

    made = simulate(1, seed=SEED, labels=LABEL, marks=False)
    recording = leadset.Recording(
        made.signals[0], made.rate, LEADS, name="simulated recording", age=float(made.ages[0]),
        sex=made.sexes[0].casefold(),
    )  # fmt: skip
    entry = leadset.load_entry()
    answer = findings_of(entry.predict(recording), entry.space)
    figure = draw_measured_sheet(recording, SheetOptions(date="simulated"), answer=answer)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    with write_atomically(target, "wb") as file:
        Image.open(drawn).convert("RGB").quantize(COLOURS).save(file, format="png", optimize=True, dpi=(DPI, DPI))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("sheet.png"))
