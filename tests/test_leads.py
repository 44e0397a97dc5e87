"""Names of leads as devices and standards write them, and lead sets."""

from __future__ import annotations

import pytest

from leadset.leads import (
    LEAD_SETS,
    LEADS,
    canonical_lead,
    is_known_lead,
    lead_set_name,
    resolve_leads,
    signed_lead,
    sort_leads,
    with_derived,
)

NAMED = {
    "I": ("i", "DI", "L1", "MLI", "Lead I (Einthoven)", "ECG I", "ECG_I", "lead_i", "MDC_ECG_LEAD_I", "I, left"),
    "III": ("III_filt", "Ableitung III", "отведение III", "导联III", "III_mV"),
    "II": ("MLII", "Lead II", "MDC_ECG_ELEC_POTL_II", "EKG II", "\N{ROMAN NUMERAL TWO}", "II [filtered]", "L2"),
    "aVR": ("AVR", "avr", "a-VR", "aVR, augmented voltage, right", "MDC_ECG_LEAD_AVR", "lead_avr"),
    "V1": ("v1", "C1", "V-1", "V_1", "V 1", "Lead V1", "V1 (C1)", "V1 5 mm/mV", "V\N{SUBSCRIPT ONE}",
           "V1-raw", "V1_uV", "V1 4th ICS", "\N{CYRILLIC CAPITAL LETTER ES}1"),
    "V6": ("C6", "c-6", "ECG V6", "MDC_ECG_LEAD_V6"),
}
UNNAMED = ("ECG", "ECG1", "signal 1", "1", "V", "V1-V2", "V5 - V2", "I/II", "V1 (V2)", "dI", "dV1", "EASI II", "A-I",
           "MCL1", "CM5", "mod.V1", "V10", "IIII", "D3", "Resp", "leads off", "aVRx", "I and II")  # fmt: skip


def test_names_of_devices_and_standards_are_understood():
    for lead, names in NAMED.items():
        assert {name: signed_lead(name) for name in names} == dict.fromkeys(names, (lead, 1))
        assert {name: canonical_lead(name) for name in names} == dict.fromkeys(names, lead)
    for name in ("-aVR", "\N{MINUS SIGN}aVR", "Lead -aVR", "minus aVR", "inverted aVR", "MDC_ECG_LEAD_neg_aVR"):
        assert (signed_lead(name), canonical_lead(name)) == (("aVR", -1), name)
    for name in ("aVR-", "aVR (-)", "aVR (inverted)", "aVR inv", "aVRneg", "MDC_ECG_LEAD_aVRneg"):
        assert signed_lead(name) == ("aVR", -1)
    assert signed_lead('"V1, right of the sternum"') == ("V1", 1)
    for name in ("V4 R", "V4 (right)", "C3 right-sided", "V1 r", "V5 posterior", "V4 post",
                 "V1 high", "V2 (2nd ICS)", "V1 3rd intercostal space"):
        assert signed_lead(name) == (name, 1)
    for name in UNNAMED:
        assert (signed_lead(name), is_known_lead(name)) == ((name, 1), False)
    assert all(map(is_known_lead, ("V7", "v3r", "vx", "-aVR", "C2")))


def test_a_users_names_go_before_all_others():
    mine = {"my name": "II", "Upside": "-V2", "C1": "V3"}
    assert signed_lead(" My Name ", mine) == ("II", 1)
    assert signed_lead("upside", mine) == ("V2", -1)
    assert (canonical_lead("C1", mine), canonical_lead("C2", mine)) == ("V3", "V2")


# --- lead sets -----------------------------------------------------------------------------------------------------


def test_lead_sets_by_size_text_and_names():
    assert resolve_leads(3) == resolve_leads("3") == resolve_leads("v2, ii,I") == LEAD_SETS[3]
    assert resolve_leads("V5-II") == ("II", "V5")
    assert (resolve_leads(1), lead_set_name(("I",))) == (("I",), "1")
    assert [lead_set_name(resolve_leads(x)) for x in ("12", "II,V5", "I,III")] == ["12", "II-V5", "I-III"]
    assert sort_leads(["vx", "V6", "AVL", "i"]) == ("I", "aVL", "V6", "vx")
    assert with_derived(["aVL", "aVF", "V3"]) == {*LEADS[:6], "V3"}
    for bad in (5, "I,I", "", "II,V9"):
        with pytest.raises(ValueError, match="expected"):
            resolve_leads(bad)
