"""Signal quality, usability, and leads and electrodes in the wrong place."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_leads import synthetic

from leadset.leads import INDEPENDENT_LEADS, LEADS, LIMB_WEIGHTS
from leadset.recordings import read_recording
from leadset.serve.texts import load_texts
from leadset.signals import QUALITY_FLAGS
from leadset.simulate import simulate
from leadset.simulate.faults import swap_electrodes
from leadset.waves import assess, assessment, delineate
from leadset.waves.assessment import REASONS, unusable_because
from leadset.waves.electrodes import EXCHANGES, gains, mirrored, shipped_density, suspect_exchange
from leadset.waves.levels import LEVELS, P_LEVEL, QRS_LEVELS, T_LEVEL, wave_levels
from leadset.waves.limb_leads import compare_limb_leads

FS = 500
SECONDS = np.arange(10 * FS) / FS


@pytest.fixture(scope="module")
def hearts() -> list[np.ndarray]:
    """Six simulated normal recordings (12, t)."""
    return list(simulate(6, seed=3, labels="NSR", marks=False).signals)


def noise(leads: int = 12, samples: int = 10 * FS, seed: int = 0) -> np.ndarray:
    """White noise of 0.1 mV."""
    return 0.1 * np.random.default_rng(seed).standard_normal((leads, samples))


def hum(hertz: float) -> np.ndarray:
    """Twelve leads of mains hum with a little noise."""
    return 0.5 * np.sin(2 * np.pi * hertz * SECONDS) + 0.2 * noise()


# --- Verdict -------------------------------------------------------------------------------------------------------


def test_normal_recordings_are_usable_and_above_suspicion(hearts: list[np.ndarray]) -> None:
    for signal in hearts:
        quality = assess(signal, FS, LEADS)
        assert quality.usable and quality.unusable_because == ""
        assert quality.suspicions == ()
        assert quality.overall == pytest.approx(np.prod(quality.by_lead))


@pytest.mark.parametrize(("signal", "reason"), [
    (np.zeros((12, 0)), "no samples"),
    (np.full((12, 5000), np.nan), "every sample is missing"),
    (np.full((12, 5000), np.inf), "every sample is missing"),
    (np.full((12, 5000), 3.0), "every lead is flat or missing"),
    (noise(samples=900), "no lead is known for 2 s"),
    (noise(), "no heartbeats in any lead, only white noise"),
    (hum(50), "no heartbeats in any lead, only hum of 50 Hz"),
    (hum(60), "no heartbeats in any lead, only hum of 60 Hz"),
    (np.cumsum(noise(), axis=1), "no heartbeats in any lead, only noise"),
    (500 * noise(), "amplitudes are far from an ECG's (SD 50 mV): the unit or gain is probably wrong"),
    (noise() / 100, "amplitudes are far from an ECG's (SD 0.001 mV): the unit or gain is probably wrong"),
    (np.concatenate([np.zeros((8, 5000)), noise(4)]),
     "electrodes are off: 8 of 12 leads are flat or missing, the others show white noise"),
])  # fmt: skip
def test_what_shows_no_heartbeats_is_unusable_and_says_why(signal: np.ndarray, reason: str) -> None:
    quality = assess(signal, FS, LEADS)
    assert not quality.usable and quality.unusable_because == reason
    assert quality.overall == 0 and not quality.by_lead.any()
    assert quality.suspicions == ()
    assert quality.flags[-1] == f"unusable: {reason}"
    assert unusable_because(signal, FS, LEADS) == reason
    assert load_texts("fr").reason(reason) != reason  # the page says it in its own language


@pytest.mark.parametrize("seed", range(6))
def test_noise_of_any_colour_is_never_usable(seed: int) -> None:
    for power, leads in ((0, 12), (1, 12), (1, 1)):
        signal = noise(leads, seed=seed)
        signal = np.cumsum(signal, axis=1) * 0.5 if power else signal
        because = assess(signal, FS, LEADS[:leads]).unusable_because
        assert because and unusable_because(signal, FS, LEADS[:leads]) == because


def test_a_good_recording_is_found_usable_without_its_waves(hearts: list[np.ndarray], monkeypatch) -> None:
    monkeypatch.setattr(assessment, "delineate", None)
    assert [unusable_because(signal, FS, LEADS) for signal in hearts] == [""] * len(hearts)


def test_one_lead_with_heartbeats_makes_a_recording_usable(hearts: list[np.ndarray]) -> None:
    signal = noise()
    signal[1] = hearts[0][1]
    quality = assess(signal, FS, LEADS)
    assert quality.usable and quality.by_lead[1] > 0.5
    assert unusable_because(signal, FS, LEADS) == ""
    assert all("noise" in reasons for lead, reasons in zip(LEADS, quality.reasons, strict=True) if lead != "II")


def test_half_a_recording_with_heartbeats_makes_it_usable(hearts: list[np.ndarray]) -> None:
    signal = hearts[0].astype(np.float64)
    signal[:, :2600] = 40 * np.sign(np.cumsum(noise(samples=2600), axis=1))
    quality = assess(signal, FS, LEADS)
    assert quality.usable and quality.overall < 0.01
    signal[:, 2600:] = noise(samples=2400)
    assert not assess(signal, FS, LEADS).usable


def test_senseless_rates_are_an_answer_too() -> None:
    for fs in (10, 1e6, float("nan"), float("inf")):
        quality = assess(noise(), fs, LEADS)
        assert not quality.usable and quality.unusable_because.startswith("sampling rate of")


def test_what_does_not_belong_together_is_an_error(hearts: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="11 names of leads"):
        assess(hearts[0], FS, LEADS[:11])
    with pytest.raises(ValueError, match="12 leads, but 3 were delineated"):
        assess(hearts[0], FS, LEADS, delineate(hearts[0][:3], FS))


@pytest.mark.parametrize("fs", [100, 1000])
def test_rates_and_lengths_do_not_matter(hearts: list[np.ndarray], fs: int) -> None:
    from leadset.preprocess import resample

    signal = resample(swap_electrodes(hearts[0], "RA", "LA"), FS, fs)
    for piece in (signal, signal[:, : 5 * fs]):
        assert assess(piece, fs, LEADS).suspicions == ("exchanged:RA-LA",)


def test_a_delineation_that_is_there_is_used(hearts: list[np.ndarray]) -> None:
    with_own, given = (assess(hearts[1], FS, LEADS, *more) for more in ((), (delineate(hearts[1], FS),)))
    assert np.array_equal(with_own.by_lead, given.by_lead) and with_own.flags == given.flags
    assert assess(hearts[1], FS, LEADS, delineate(hearts[1], FS, "wavelet")).usable


@pytest.mark.parametrize("lead", ["I", "V2", "unheard of"])
def test_one_lead_is_enough(hearts: list[np.ndarray], lead: str) -> None:
    quality = assess(hearts[0][7], FS, [lead])
    assert quality.usable and quality.leads == (lead,) and quality.suspicions == ()


# --- Reasons -------------------------------------------------------------------------------------------------------


def spoil(signal: np.ndarray, how: str) -> np.ndarray:
    """A recording whose V3 has a fault."""
    signal = signal.astype(np.float64)
    lead = signal[LEADS.index("V3")]
    generator = np.random.default_rng(0)
    if how == "missing":
        lead[1000:1400] = np.nan
    elif how == "constant":
        lead[:] = 2.5
    elif how == "flat":
        lead[:] = 0.001 * generator.standard_normal(len(lead))
    elif how == "clipped":
        lead[:] = np.clip(lead, *np.quantile(lead, [0.03, 0.97]))
    elif how == "noise":
        lead += generator.standard_normal(len(lead))
    elif how == "wander":
        lead += 1.5 * np.sin(2 * np.pi * 0.2 * SECONDS)
    elif how == "spikes":
        lead[[1234, 3210]] += 4
    return signal


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_is_found_in_the_lead_that_has_it(hearts: list[np.ndarray], reason: str) -> None:
    for signal in hearts[:3]:
        before, after = assess(signal, FS, LEADS), assess(spoil(signal, reason), FS, LEADS)
        for lead, old, new in zip(LEADS, before.reasons, after.reasons, strict=True):
            assert (reason in new) == (lead == "V3" or reason in old), (lead, old, new)
        assert after.by_lead[LEADS.index("V3")] < before.by_lead[LEADS.index("V3")] or reason in ("spikes", "wander")
        assert f"{reason}:V3" in after.flags


def test_an_electrode_without_contact_is_named(hearts: list[np.ndarray]) -> None:
    for electrode, row in (("RA", 0), ("LA", 1), ("LL", 2)):
        one, two = hearts[0][0].astype(float), hearts[0][1].astype(float)
        potentials = np.stack([np.zeros_like(one), one, two])
        potentials[row] += 3 * noise(1)[0]
        first, second = potentials[1] - potentials[0], potentials[2] - potentials[0]
        signal = hearts[0].astype(float)
        for i, (a, b) in enumerate(LIMB_WEIGHTS.values()):
            signal[i] = a * first + b * second
        assert f"loose:{electrode}" in assess(signal, FS, LEADS).suspicions


def test_every_flag_has_a_meaning(hearts: list[np.ndarray]) -> None:
    assert set(REASONS) <= QUALITY_FLAGS.keys()
    assert {name.partition(":")[0] for name in EXCHANGES} <= QUALITY_FLAGS.keys()
    for signal in (spoil(hearts[0], "wander"), noise(), swap_electrodes(hearts[0], "RA", "LL")):
        assert {flag.partition(":")[0] for flag in assess(signal, FS, LEADS).flags} <= QUALITY_FLAGS.keys()


# --- Levels --------------------------------------------------------------------------------------------------------


def test_levels_are_those_of_the_waves() -> None:
    signal, _ = synthetic(FS)
    levels = wave_levels(signal[None] + 5, delineate(signal, FS))[0]  # bumps of P 0.12 mV, T 0.3 mV, R 1 mV
    assert 0.04 < levels[P_LEVEL] < 0.1 and 0.1 < levels[T_LEVEL] < 0.25
    assert levels[QRS_LEVELS].max() > 0.5 > 0 > levels[QRS_LEVELS].min()


def test_levels_are_linear_in_the_leads(hearts: list[np.ndarray]) -> None:
    delineation = delineate(hearts[0], FS)
    one = wave_levels(hearts[0], delineation)
    assert one.shape == (12, LEVELS) and not np.isnan(one).any()
    assert np.allclose(wave_levels(-2 * hearts[0] + 1, delineation), -2 * one, atol=1e-6)


def test_levels_of_what_is_not_there_are_missing(hearts: list[np.ndarray]) -> None:
    assert np.isnan(wave_levels(noise(), delineate(noise(), FS))).all()
    without_p = simulate(1, seed=1, labels="AF", marks=False).signals[0]
    levels = wave_levels(without_p, delineate(without_p, FS))
    assert np.isnan(levels[:, P_LEVEL]).all() and not np.isnan(levels[:, QRS_LEVELS]).any()


def paper(signal: np.ndarray) -> np.ndarray:
    """A recording as on paper: three leads at a time for 2.5 s, and II throughout."""
    shown = np.full(signal.shape, np.nan)
    for row in range(12):
        part = slice(row // 3 * 1250, (row // 3 + 1) * 1250)
        shown[row, part] = signal[row, part]
    shown[1] = signal[1]
    return shown


def test_levels_of_a_lead_that_is_known_in_part_are_those_of_its_part(hearts: list[np.ndarray]) -> None:
    for signal in hearts[:3]:
        whole = wave_levels(signal, delineate(signal, FS))[:, QRS_LEVELS]
        partly = wave_levels(paper(signal), delineate(paper(signal), FS))[:, QRS_LEVELS]
        known = ~np.isnan(partly).any(axis=1)
        assert known.sum() >= 11
        size = np.linalg.norm(whole, axis=1)
        assert (np.linalg.norm(partly - whole, axis=1)[known] < 0.35 * size.max()).all()
        quality = assess(paper(signal), FS, LEADS)
        assert quality.usable and quality.suspicions == ()


# --- Limb leads ------------------------------------------------------------------------------------------------------


def limbs(seed: int = 0, noise_mv: float = 0.01) -> dict[str, np.ndarray]:
    """Levels of six limb leads that fit each other but for noise."""
    generator = np.random.default_rng(seed)
    plane = generator.standard_normal((2, 8))
    return {lead: a * plane[0] + b * plane[1] + noise_mv * generator.standard_normal(8)
            for lead, (a, b) in LIMB_WEIGHTS.items()}


def test_limb_leads_that_fit_are_above_suspicion() -> None:
    for leads in (["I", "II"], ["aVR", "aVF"], ["I", "II", "III"], list(LIMB_WEIGHTS)):
        levels = limbs()
        found = compare_limb_leads({lead: levels[lead] for lead in leads})
        assert found.suspicions == ()
        assert np.allclose(found.first, levels["I"], atol=0.06) and np.allclose(found.second, levels["II"], atol=0.06)
    assert compare_limb_leads({"I": levels["I"]}) is None
    assert compare_limb_leads({"I": np.zeros(8), "II": np.zeros(8)}) is None


@pytest.mark.parametrize("lead", LIMB_WEIGHTS)
@pytest.mark.parametrize(("factor", "kind"), [(-1, "inverted"), (-2, "inverted"), (0.4, "scaled"), (3, "scaled")])
def test_a_limb_lead_with_another_sign_or_scale_is_named(lead: str, factor: float, kind: str) -> None:
    levels = limbs()
    levels[lead] = factor * levels[lead]
    found = compare_limb_leads(levels)
    assert found.suspicions == (f"{kind}:{lead}",)
    assert np.allclose(found.first, limbs()["I"], atol=0.06)  # what the others say


@pytest.mark.parametrize("pair", [("I", "II"), ("III", "aVF"), ("aVR", "aVL")])
def test_two_limb_leads_in_each_others_place_are_named(pair: tuple[str, str]) -> None:
    levels = limbs()
    levels[pair[0]], levels[pair[1]] = levels[pair[1]], levels[pair[0]]
    assert compare_limb_leads(levels).suspicions == (f"exchanged:{pair[0]}-{pair[1]}",)


@pytest.mark.parametrize("lead", ["I", "II", "III"])
def test_of_three_limb_leads_an_inverted_one_is_named(lead: str) -> None:
    levels = {name: level for name, level in limbs().items() if name in ("I", "II", "III")}
    levels[lead] = -levels[lead]
    assert compare_limb_leads(levels).suspicions == (f"inverted:{lead}",)


def test_scales_of_their_own_and_contradictions_are_told_apart() -> None:
    factors = zip(limbs().items(), (1, 2, 0.4, 3, 0.6, 1.6), strict=True)
    own = {lead: factor * level for (lead, level), factor in factors}
    assert compare_limb_leads(own).suspicions == ("scaled:limb leads",)
    generator = np.random.default_rng(1)
    unrelated = {lead: generator.standard_normal(8) for lead in LIMB_WEIGHTS}
    assert compare_limb_leads(unrelated).suspicions == ("inconsistent:limb leads",)


# --- Electrodes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [("RA", "LA"), ("RA", "LL")])
def test_exchanged_limb_electrodes_are_named(hearts: list[np.ndarray], first: str, second: str) -> None:
    for signal in hearts:
        assert assess(swap_electrodes(signal, first, second), FS, LEADS).suspicions == (f"exchanged:{first}-{second}",)


@pytest.mark.parametrize("leads", [2, 6])
def test_exchanged_arms_show_in_limb_leads_alone(hearts: list[np.ndarray], leads: int) -> None:
    swapped = [swap_electrodes(signal, "RA", "LA")[:leads] for signal in hearts]
    found = [assess(signal, FS, LEADS[:leads]).suspicions for signal in swapped]
    assert found.count(("exchanged:RA-LA",)) >= 5 and set(found) <= {("exchanged:RA-LA",), ()}


def test_exchanged_left_electrodes_are_named_only_beyond_doubt(
    hearts: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = []
    for signal in hearts:
        swapped = swap_electrodes(signal, "LA", "LL")
        assert set(assess(swapped, FS, LEADS).suspicions) <= {"exchanged:LA-LL"}
        levels = wave_levels(swapped, delineate(swapped, FS))[[LEADS.index(lead) for lead in INDEPENDENT_LEADS]]
        left.append(gains(levels)["exchanged:LA-LL"])
    assert np.median(left) > 0
    for gained, expected in (({"exchanged:LA-LL": 14.0}, None), ({"exchanged:LA-LL": 15.0}, "exchanged:LA-LL"),
                             ({"exchanged:LA-LL": 14.0, "exchanged:RA-LA": 7.0}, "exchanged:RA-LA")):
        monkeypatch.setattr("leadset.waves.electrodes.gains", lambda *_, gained=gained: gained)
        assert suspect_exchange(levels) == expected


def test_chest_leads_in_wrong_order_or_upside_down_are_named(hearts: list[np.ndarray]) -> None:
    for signal in hearts:
        reversed_ = np.concatenate([signal[:6], signal[:5:-1]])
        assert assess(reversed_, FS, LEADS).suspicions == ("reversed:V1-V6",)
        far = signal[[*range(6), 9, 7, 8, 6, 10, 11]]
        assert assess(far, FS, LEADS).suspicions == ("exchanged:V1-V4",)
        upside_down = signal * np.where(np.array(LEADS) == "V5", -1, 1)[:, None]
        assert assess(upside_down, FS, LEADS).suspicions == ("inverted:V5",)


def test_a_heart_on_the_right_is_not_taken_for_exchanged_arms(hearts: list[np.ndarray]) -> None:
    rows = [LEADS.index(lead) for lead in INDEPENDENT_LEADS]
    for signal in hearts:
        mirror = mirrored() @ signal[rows]
        first, second = mirror[:2]
        limb = [a * first + b * second for a, b in LIMB_WEIGHTS.values()]
        assert assess(np.stack([*limb, *mirror[2:]]), FS, LEADS).suspicions == ("dextrocardia",)


def test_an_inverted_limb_lead_is_no_exchange(hearts: list[np.ndarray]) -> None:
    signal = hearts[0] * np.where(np.array(LEADS) == "I", -1, 1)[:, None]
    assert assess(signal, FS, LEADS).suspicions == ("inverted:I",)


def test_taking_an_exchange_back_undoes_its_gain(hearts: list[np.ndarray]) -> None:
    levels = wave_levels(hearts[0], delineate(hearts[0], FS))[[LEADS.index(lead) for lead in INDEPENDENT_LEADS]]
    for name, matrix in EXCHANGES.items():
        if name != "dextrocardia":  # mirrored twice is as before only in what is a dipole
            assert gains(np.linalg.inv(matrix) @ levels)[name] == pytest.approx(-gains(levels)[name])


def test_leads_that_are_missing_are_not_judged(hearts: list[np.ndarray]) -> None:
    levels = wave_levels(hearts[0], delineate(hearts[0], FS))[[LEADS.index(lead) for lead in INDEPENDENT_LEADS]]
    levels[INDEPENDENT_LEADS.index("V2")] = np.nan
    assert not [name for name in gains(levels) if "V2" in name or name in ("reversed:V1-V6", "dextrocardia")]
    assert {"exchanged:RA-LA", "exchanged:V1-V3", "inverted:V6"} <= gains(levels).keys()
    levels[0] = np.nan
    assert "exchanged:RA-LA" not in gains(levels)
    assert gains(np.full((8, LEVELS), np.nan)) == {}


def test_the_shipped_density_is_one() -> None:
    density = shipped_density()
    assert density.mean.shape == (64,) and density.covariance.shape == (64, 64)
    assert np.linalg.eigvalsh(density.covariance.astype(float)).min() > 0


# --- Real recordings -------------------------------------------------------------------------------------------------


def test_exchanged_arms_on_real_recordings(real_data) -> None:
    """One in three of the Challenge's recordings; all of them are in ``benchmarks/quality.csv``."""
    headers = sorted((real_data / "challenge").rglob("*.hea"))[::3]
    false, found = 0, 0
    for header in headers:
        recording = read_recording(header)
        quality = assess(recording.signal, recording.fs, recording.leads)
        assert quality.usable, header
        false += "exchanged:RA-LA" in quality.suspicions
        rows = [recording.leads.index(lead) for lead in LEADS]
        swapped = swap_electrodes(np.nan_to_num(recording.signal[rows]), "RA", "LA")
        found += "exchanged:RA-LA" in assess(swapped, recording.fs, LEADS).suspicions
    assert false == 0 and found >= 0.9 * len(headers)


def test_unusable_are_only_recordings_that_were_called_unacceptable(real_data) -> None:
    unusable = []
    for header in sorted((real_data / "quality_2011").glob("*.hea")):
        recording = read_recording(header)
        if not assess(recording.signal, recording.fs, recording.leads).usable:
            unusable.append("Quality: unacceptable" in header.read_text())
    assert len(unusable) >= 4 and all(unusable)
