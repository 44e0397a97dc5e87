"""The parts of a heartbeat by our marks: which wave, and which beat, each sample of a recording belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leadset.waves import Delineation
from leadset.waves.marks import PEND, PON, QRSEND, QRSON, TEND, TON

#: Parts of a beat, in order. ``no P`` are the 200 ms before a complex that no P wave precedes (from the end of the beat
#: before, where that is nearer); ``rest`` is what lies between beats.
WAVES: tuple[str, ...] = ("P", "PQ", "no P", "QRS", "ST", "T", "rest")
_LIMITS = {"P": (PON, PEND), "PQ": (PEND, QRSON), "QRS": (QRSON, QRSEND), "ST": (QRSEND, TON), "T": (TON, TEND)}
_P_ZONE, _LONGEST = 0.2, 0.5
_REST = WAVES.index("rest")


@dataclass(frozen=True)
class Segments:
    """Parts of the beats of a recording, or of stretches of it one after another, common to all leads.

    Attributes:
        rate: sampling rate in Hz.
        wave: (t,) index into `WAVES`.
        beat: (t,) index of the beat, -1 between beats.
        piece: (t,) number of the stretch: one wave of one beat; those above 0.5 s are cut.
    """

    rate: float
    wave: np.ndarray
    beat: np.ndarray
    piece: np.ndarray

    def is_wave(self, name: str) -> np.ndarray:
        """(t,) bool."""
        return self.wave == WAVES.index(name)

    def time_shares(self) -> np.ndarray:
        """(waves,) share of the duration."""
        return np.bincount(self.wave, minlength=len(WAVES)) / max(len(self.wave), 1)


def find_segments(delineation: Delineation, rate: float, samples: int, parts: Sequence[slice] = ()) -> Segments:
    """Parts of the beats at another sampling rate.

    Args:
        delineation: of the recording; the marks common to all leads are used.
        rate: sampling rate wanted in Hz.
        samples: length at that rate.
        parts: the samples that are looked at, by default all.
    """
    found = [_waves_and_beats(delineation, rate, part) for part in parts or [slice(0, samples)]]
    pieces, number = [], 0
    for wave, beat in found:
        pieces.append(_number_pieces(wave, beat, round(_LONGEST * rate)) + number)
        number = int(pieces[-1].max(initial=number - 1)) + 1
    waves, beats = zip(*found, strict=True)
    return Segments(rate, np.concatenate(waves), np.concatenate(beats), np.concatenate(pieces))


def _waves_and_beats(delineation: Delineation, rate: float, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """Those of `Segments` for some samples at a rate."""
    samples, scale = part.stop - part.start, rate / delineation.fs
    wave, beat = np.full(samples, _REST, np.int8), np.full(samples, -1, np.int32)

    def fill(name: str, number: int, start: float, stop: float) -> None:
        if np.isfinite([start, stop]).all() and stop > start:
            limits = np.ceil([start * scale, stop * scale]).astype(int) - part.start
            inside = slice(*np.clip(limits, 0, samples))
            wave[inside], beat[inside] = WAVES.index(name), number

    for marks in delineation.p_only:
        fill("P", -1, marks[0], marks[-1])
    end_before = 0.0
    for number in _beats_near(delineation, part.start / scale, part.stop / scale):
        marks = delineation.fused[number]
        for name, (first, last) in _LIMITS.items():
            fill(name, number, marks[first], marks[last])
        if np.isnan(marks[PON]):
            fill("no P", number, max(marks[QRSON] - _P_ZONE * delineation.fs, end_before), marks[QRSON])
        end_before = np.nanmax([end_before, marks[QRSEND], marks[TEND]])
    return wave, beat


def _beats_near(delineation: Delineation, start: float, stop: float) -> np.ndarray:
    """Numbers of the beats that reach into some samples of the recording, and of the one before."""
    first, last = np.fmin.reduce(delineation.fused, axis=1), np.fmax.reduce(delineation.fused, axis=1)
    there = (last >= start) & (first - _P_ZONE * delineation.fs <= stop)
    there[:-1] |= there[1:]
    return np.flatnonzero(there)


def _number_pieces(wave: np.ndarray, beat: np.ndarray, longest: int) -> np.ndarray:
    """Numbers (t,) of the stretches of one wave and beat, cut evenly where they are longer than so many samples."""
    if not len(wave):
        return np.zeros(0, int)
    starts = np.flatnonzero(np.r_[True, (wave[1:] != wave[:-1]) | (beat[1:] != beat[:-1])])
    piece, number = np.zeros(len(wave), int), 0
    for start, stop in zip(starts, [*starts[1:], len(wave)], strict=True):
        parts = -(-(stop - start) // longest)
        piece[start:stop] = number + (np.arange(stop - start) * parts) // (stop - start)
        number += parts
    return piece
