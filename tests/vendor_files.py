"""Recordings written in the formats of devices, by the standards or by libraries that are not those that read them.

Each writer takes counts (l, t) int16 of 5 uV, leads and a sampling rate, and a path.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from files_on_disk import make_counts

from leadset.leads import LEADS

UV_PER_COUNT = 5
Writer = Callable[[Path, np.ndarray, Sequence[str], int], None]

#: Numbers of leads in SCP-ECG, DICOM and MFER.
_NUMBERS = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))
_ISHNE = dict(zip(LEADS, range(5, 17), strict=True))


def write_edf(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """EDF+ by edfio: 16 bits, microvolts."""
    import edfio

    limit = 32767
    signals = [
        edfio.EdfSignal.from_digital(
            row, fs, label=f"ECG {lead}", physical_dimension="uV", digital_range=(-limit, limit),
            physical_range=(-limit * UV_PER_COUNT, limit * UV_PER_COUNT),
        )
        for lead, row in zip(leads, counts, strict=True)
    ]  # fmt: skip
    edfio.Edf(signals, patient=edfio.Patient(sex="F")).write(path)


def write_bdf(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """BDF by edfio: 24 bits of 5/256 uV."""
    import edfio

    limit = 32_000 * 256
    signals = [
        edfio.BdfSignal.from_digital(
            row.astype(np.int32) * 256, fs, label=lead, physical_dimension="uV", digital_range=(-limit, limit),
            physical_range=(-160_000, 160_000),
        )
        for lead, row in zip(leads, counts, strict=True)
    ]  # fmt: skip
    edfio.Bdf(signals).write(path)


def write_dicom(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """A 12-lead ECG waveform by pydicom, leads by their MDC codes."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.PatientAge, data.PatientSex, data.PatientID = "061Y", "M", "P7"
    group = Dataset()
    group.WaveformOriginality, group.MultiplexGroupLabel = "ORIGINAL", "RHYTHM"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = counts.shape
    group.SamplingFrequency, group.WaveformBitsAllocated, group.WaveformSampleInterpretation = fs, 16, "SS"
    group.ChannelDefinitionSequence = []
    for lead in leads:
        channel, source, unit = Dataset(), Dataset(), Dataset()
        source.CodeValue, source.CodingSchemeDesignator = f"2:{_NUMBERS[lead]}", "MDC"
        source.CodeMeaning = f"Lead {lead}"
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
        channel.ChannelSourceSequence, channel.ChannelSensitivityUnitsSequence = [source], [unit]
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = UV_PER_COUNT, 1
        channel.ChannelBaseline, channel.WaveformBitsStored = 0, 16
        group.ChannelDefinitionSequence.append(channel)
    group.add_new(0x54001010, "OW", counts.T.astype("<i2").tobytes())
    data.WaveformSequence = [group]
    data.save_as(path, enforce_file_format=True)


def write_aecg(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """HL7 aECG (PORT_MT020001): a rhythm series with a relative time and lead sequences of scaled digits."""
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystem="2.16.840.1.113883.6.24"/>'
        f'<value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/><scale value="{UV_PER_COUNT}" unit="uV"/>'
        f"<digits>{' '.join(map(str, row))}</digits></value></sequence></component>"
        for lead, row in zip(leads, counts.tolist(), strict=True)
    )
    time = (
        '<component><sequence><code code="TIME_RELATIVE" codeSystem="2.16.840.1.113883.5.4"/>'
        f'<value xsi:type="GLIST_PQ"><head value="0" unit="s"/><increment value="{1 / fs!r}" unit="s"/></value>'
        "</sequence></component>"
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><component><series><code code="RHYTHM"/>'
        f"<component><sequenceSet>{time}{sequences}</sequenceSet></component></series></component></AnnotatedECG>"
    )


def write_muse(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """GE MUSE (restecg.dtd): base64 of 16 bits, with byte counts and check sums."""
    parts = []
    for lead, row in zip(leads, counts, strict=True):
        data = row.astype("<i2").tobytes()
        parts.append(
            f"<LeadData><LeadByteCountTotal>{len(data)}</LeadByteCountTotal><LeadSampleCountTotal>{len(row)}"
            f"</LeadSampleCountTotal><LeadAmplitudeUnitsPerBit>{UV_PER_COUNT}</LeadAmplitudeUnitsPerBit>"
            f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead}</LeadID><LeadSampleSize>2"
            f"</LeadSampleSize><LeadDataCRC32>{binascii.crc32(data)}</LeadDataCRC32>"
            f"<WaveFormData>{base64.b64encode(data).decode()}</WaveFormData></LeadData>"
        )
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n<RestingECG>'
        "<PatientDemographics><PatientAge>61</PatientAge><AgeUnits>YEARS</AgeUnits><Gender>MALE</Gender>"
        "</PatientDemographics><Waveform><WaveformType>Rhythm</WaveformType><SampleBase>"
        f"{fs}</SampleBase><SampleExponent>0</SampleExponent>{''.join(parts)}</Waveform></RestingECG>"
    )


def write_sierra(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """Philips Sierra 1.04, waveforms as base64 of 16 bits without compression, one lead after the other."""
    data = base64.b64encode(counts.astype("<i2").tobytes()).decode()
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<restingecgdata xmlns="http://www3.medical.philips.com">'
        "<documentinfo><documentname>x.xml</documentname><documenttype>SierraECG</documenttype>"
        "<documentversion>1.04</documentversion></documentinfo><dataacquisition><signalcharacteristics>"
        f"<samplingrate>{fs}</samplingrate><resolution>{UV_PER_COUNT}</resolution><signaloffset>0</signaloffset>"
        "<signalsigned>True</signalsigned><bitspersample>16</bitspersample>"
        f"<numberchannelsallocated>{len(leads)}</numberchannelsallocated><numberchannelsvalid>{len(leads)}"
        "</numberchannelsvalid></signalcharacteristics></dataacquisition><waveforms>"
        f'<parsedwaveforms dataencoding="Base64" compressflag="False" numberofleads="{len(leads)}" '
        f'leadlabels="{" ".join(leads)}" durationperchannel="{counts.shape[1] * 1000 // fs}" '
        f'samplespersecond="{fs}" resolution="{UV_PER_COUNT}" signaloffset="0" signed="True" bitspersample="16">'
        f"{data}</parsedwaveforms></waveforms></restingecgdata>"
    )


def write_ishne(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """ISHNE 1.0: 522 bytes of header, then multiplexed samples; resolutions in nanovolts."""
    head = bytearray(512)
    struct.pack_into("<iiiih", head, 0, 0, counts.shape[1], 522, 522, 1)
    struct.pack_into("<h", head, 118, 2)  # female
    pad = [-9] * (12 - len(leads))
    struct.pack_into("<h12h12h12h", head, 146, len(leads), *[_ISHNE[lead] for lead in leads], *pad, *[1] * 12,
                     *[UV_PER_COUNT * 1000] * len(leads), *[0] * len(pad))  # fmt: skip
    struct.pack_into("<h", head, 262, fs)
    check = struct.pack("<H", binascii.crc_hqx(bytes(head), 0xFFFF))
    path.write_bytes(b"ISHNE1.0" + check + bytes(head) + counts.T.astype("<i2").tobytes())


def write_scp(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """SCP-ECG 1.3: sections 0, 1, 3 and 6; samples without compression, their second differences stored."""
    lead_lines = b"".join(struct.pack("<IIB", 1, counts.shape[1], _NUMBERS[lead]) for lead in leads)
    wide = counts.astype(np.int64)
    stored = np.concatenate([wide[:, :2], np.diff(wide, 2, axis=1)], axis=1).astype("<i2")
    sizes = struct.pack(f"<{len(leads)}H", *[2 * counts.shape[1]] * len(leads))
    bodies = {
        1: struct.pack("<BHB", 8, 1, 2) + struct.pack("<BH", 255, 0),  # sex: female
        3: struct.pack("<BB", len(leads), 0b100 | len(leads) << 3) + lead_lines,
        6: struct.pack("<HHBB", UV_PER_COUNT * 1000, 1_000_000 // fs, 2, 0) + sizes + stored.tobytes(),
    }
    bodies = {number: body + bytes(len(body) % 2) for number, body in bodies.items()}
    start, pointers = 7 + 16 + 10 * 12, {}
    for number, body in bodies.items():
        pointers[number] = (16 + len(body), start)
        start += 16 + len(body)
    table = b"".join(struct.pack("<HII", i, *pointers.get(i, (0, 0))) for i in range(1, 12))
    table = struct.pack("<HII", 0, 16 + 120, 7) + table
    sections = [_scp_section(0, table, b"SCPECG"), *(_scp_section(i, body) for i, body in bodies.items())]
    size = 6 + sum(map(len, sections))
    content = struct.pack("<I", size) + b"".join(sections)
    path.write_bytes(struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content)


def _scp_section(number: int, body: bytes, sign: bytes = bytes(6)) -> bytes:
    content = struct.pack("<HIBB", number, 16 + len(body), 13, 13) + sign + body
    return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content


def write_mfer(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """MFER: little-endian, one block for each lead."""
    tlv = lambda tag, value: bytes([tag, len(value)]) + value  # noqa: E731
    content = tlv(0x40, b"MFR Standard 12 leads ECG".ljust(32)) + tlv(0x01, b"\x01")
    content += tlv(0x0B, bytes([1, 0x100 - 6]) + struct.pack("<i", 1_000_000 // fs))  # interval, 10^-6 s
    content += tlv(0x0C, bytes([0, 0x100 - 6]) + struct.pack("<H", UV_PER_COUNT))  # 10^-6 V
    content += tlv(0x0A, b"\0") + tlv(0x04, struct.pack("<I", counts.shape[1])) + tlv(0x05, bytes([len(leads)]))
    content += tlv(0x06, b"\x01")
    for channel, lead in enumerate(leads):
        content += bytes([0x3F, channel, 4]) + tlv(0x09, struct.pack("<H", _NUMBERS[lead]))
    data = counts.astype("<i2").tobytes()
    content += bytes([0x1E, 0x84]) + struct.pack(">I", len(data)) + data + bytes([0x80, 0])
    path.write_bytes(content)


#: Sampling rate in Hz of what `mfer_frames` is given.
FASTEST = 500


def mfer_frames(
    order: str, channels: Sequence[tuple[int, int, bytes]], frames: Sequence[tuple[bytes, np.ndarray]]
) -> bytes:
    """An MFER file.

    Args:
        order: of bytes.
        channels: number of the lead, sampling rate in Hz, and the unit (MWF_SEN) of each.
        frames: definitions before each frame, and its counts (channels, samples) at 500 Hz; slower channels hold fewer.
    """
    tlv = lambda tag, value: bytes([tag, len(value)]) + value  # noqa: E731
    content = tlv(0x40, b"MFR ".ljust(32)) + tlv(0x01, b"\1" if order == "<" else b"\0") + tlv(0x0A, b"\0")
    content += tlv(0x05, bytes([len(channels)])) + tlv(0x06, b"\1")
    for i, (lead, fs, unit) in enumerate(channels):
        about = tlv(0x09, struct.pack(f"{order}H", lead)) + tlv(0x0C, unit)
        about += tlv(0x0B, bytes([1, 0x100 - 6]) + struct.pack(f"{order}i", 1_000_000 // fs))
        about += tlv(0x04, struct.pack(f"{order}I", frames[0][1].shape[1] * fs // FASTEST))
        content += bytes([0x3F, i, len(about)]) + about
    for before, counts in frames:
        rows = [row[:: FASTEST // fs].astype(f"{order}i2") for (_, fs, _), row in zip(channels, counts, strict=True)]
        data = b"".join(row.tobytes() for row in rows)
        content += before + b"\x1e\x84" + struct.pack(">I", len(data)) + data
    return content + b"\x80\0"


def edf_plus(counts: np.ndarray, onsets: Sequence[float]) -> bytes:
    """An EDF+ file of leads I and II at 500 Hz, a record every 250 samples, each with the second in which it was begun.
    """
    fields = lambda values, width: b"".join(str(value).encode().ljust(width) for value in values)  # noqa: E731
    head = fields(["0"], 8) + fields(["X F 02-MAY-1960 X", "Startdate 02-MAY-2021 X X X"], 80)
    head += fields(["02.05.21", "10.00.00", 1024], 8) + fields(["EDF+D"], 44) + fields([len(onsets), 0.5], 8)
    head += fields([3], 4) + fields(["ECG I", "ECG II", "EDF Annotations"], 16) + fields([""] * 3, 80)
    head += fields(["uV", "uV", ""], 8) + fields([-163835, -163835, -1, 163835, 163835, 1], 8)
    head += fields([-32767] * 3 + [32767] * 3, 8) + fields([""] * 3, 80) + fields([250, 250, 20], 8)
    records = fields([""] * 3, 32)
    for i, onset in enumerate(onsets):
        records += counts[:2, 250 * i : 250 * (i + 1)].astype("<i2").tobytes()
        records += f"+{onset:g}\x14\x14".encode().ljust(40, b"\0")
    return head + records


def interrupted_edf() -> bytes:
    """EDF+ with a gap."""
    return edf_plus(make_counts(2, 1000), [0, 0.5, 1.8, 2.3])


def interrupted_mfer() -> bytes:
    """MFER with a gap, and a pressure beside the leads."""
    counts, volts, pressure = make_counts(3, 1000), b"\0\xfa\0\5", b"\1\0\0\1"
    frames = [(b"", counts[:, :500]), (b"\x07\x02\2\xbc", counts[:, 500:])]
    return mfer_frames(">", [(1, 500, volts), (2, 500, volts), (143, 125, pressure)], frames)


def write_csv(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """A table of microvolts with a column of times, and its JSON file."""
    time = np.arange(counts.shape[1])[:, None] / fs
    table = np.concatenate([time, counts.T.astype(float) * UV_PER_COUNT], axis=1)
    np.savetxt(path, table, "%.6g", ",", header=",".join(["time", *leads]), comments="")
    path.with_suffix(".json").write_text(f'{{"fs": {fs}, "unit": "uV", "age": 61, "sex": "F", "codes": "426783006"}}')


def write_npz(path: Path, counts: np.ndarray, leads: Sequence[str], fs: int) -> None:
    """Millivolts that say all about themselves."""
    np.savez(path, signal=counts.T * np.float32(UV_PER_COUNT / 1000), fs=fs, unit="mV", leads=list(leads))


#: File name: writer, and flags that reading it gives.
WRITERS: dict[str, tuple[Writer, tuple[str, ...]]] = {
    "a.edf": (write_edf, ()),
    "b.bdf": (write_bdf, ()),
    "c.dcm": (write_dicom, ()),
    "d.xml": (write_aecg, ()),
    "e.xml": (write_muse, ()),
    "f.xml": (write_sierra, ()),
    "g.ecg": (write_ishne, ()),
    "h.scp": (write_scp, ()),
    "i.mwf": (write_mfer, ()),
    "j.csv": (write_csv, ("other_channel",)),
    "k.npz": (write_npz, ()),
}
