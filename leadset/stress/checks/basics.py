"""The entry as it is called every day: trained, asked, by its own scripts and by the organisers'."""

from __future__ import annotations

import shutil

from leadset.leads import LEAD_SETS
from leadset.recordings.extract import extract_leads
from leadset.stress.bench import ALIKE, DRIVERS, HELPER, SAME, Around, Bench, mean_auroc
from leadset.stress.recordings import HeaderText
from leadset.stress.registry import BASE, FailedCheck, SkippedCheck, register_check


@register_check(BASE, "trains, and answers every recording completely")
def base(bench: Bench) -> str:
    """What all other checks compare with."""
    labels, scalars = bench.ranking(bench.base_outputs)
    return f"mean AUROC {mean_auroc(labels, scalars):.3f} on {len(labels)} recordings"


@register_check("drivers", "works with the organisers' scripts and helper_code.py in the place of its own")
def drivers(bench: Bench) -> str:
    """Whatever an entry changed in these scripts is lost."""
    entry = bench.copy_entry(bench.work / "with_drivers")
    found = [name for name in (*DRIVERS, HELPER) if (bench.drivers / name).is_file()]
    if not set(DRIVERS) <= set(found):
        raise SkippedCheck(f"{bench.drivers} lacks {' or '.join(set(DRIVERS) - set(found))}")
    for name in found:
        shutil.copyfile(bench.drivers / name, entry / name)
    return bench.train_and_answer("drivers", Around(entry=entry))


@register_check("lead_sets", "answers recordings of 12, 6, 4, 3 and 2 leads")
def lead_sets(bench: Bench) -> str:
    """Two recordings, cut to each lead set of the Challenge."""
    folder = bench.work / "lead_sets"
    folder.mkdir()
    for size in (12, 6, 4, 3, 2):
        for path in bench.few[:2]:
            extract_leads(path, folder / f"{path.stem}x{size}.hea", LEAD_SETS[size])
    bench.answer(bench.base_model, folder, "lead_sets")
    return ""


@register_check("again", "answers a second time what it answered before, without the other recordings")
def again(bench: Bench) -> str:
    """An answer depends on the model and the recording alone."""
    outputs = bench.answer(bench.base_model, bench.few_folder, "again")
    remark = bench.compared(outputs, bench.few)
    if remark not in (SAME, ALIKE):
        raise FailedCheck(remark)
    return remark


@register_check("diagnoses_hidden", "answers the same where test headers hide the diagnoses")
def diagnoses_hidden(bench: Bench) -> str:
    """Diagnoses in the headers of test recordings must not reach the answer."""
    folder = bench.folder_of("diagnoses_hidden", bench.few)
    for header in sorted(folder.glob("*.hea")):
        header.write_text(HeaderText.read(header).with_comment("Dx", None).text, encoding="utf-8")
    outputs = bench.answer(bench.base_model, folder, "diagnoses_hidden")
    remark = bench.compared(outputs, bench.few)
    if remark not in (SAME, ALIKE):
        raise FailedCheck(remark)
    return remark
