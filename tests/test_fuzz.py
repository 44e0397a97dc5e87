"""Damaged inputs: a bounded, repeatable search by hypothesis, and what longer ones (`benchmarks/fuzz.py`) found."""

from __future__ import annotations

import json
import shutil
import struct
import tracemalloc
import zipfile
import zlib
from contextlib import suppress

import numpy as np
import pytest
from files_on_disk import header_text, make_counts, mat4_bytes, write_recording
from scipy.io import savemat
from vendor_files import WRITERS

from leadset.recordings import ReadError, read_recording

#: Inputs of a target; those that build networks or ask a server take longer.
MANY, FEW = 60, 8
SLOW = ("configuration", "entry", "package", "api", "tables")


def targets():
    pytest.importorskip("hypothesis", reason="the extra test is not installed")
    from fuzz_targets import TARGETS

    return TARGETS


@pytest.mark.parametrize("name", [
    "header", "matlab", "signal", "flac", "edf", "dicom", "aecg", "muse", "sierra", "ishne", "scp", "mfer", "arrays",
    "tables", "outputs", "configuration", "entry", "package", "api",
])  # fmt: skip
def test_damaged_inputs_give_a_result_or_an_error_that_names_them(name, tmp_path):
    target = targets()[name]
    from fuzz_edits import MOST, Edit, edited
    from fuzz_targets import judge
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    for library in {"dicom": ["pydicom"], "edf": ["edfio"], "api": ["fastapi"], "flac": ["soundfile"],
                    "matlab": ["h5py"]}.get(name, ["ecgdatakit"]):  # fmt: skip
        pytest.importorskip(library)
    seeds = target.seeds()
    edits = st.lists(st.builds(Edit, *(st.integers(0, most) for most in MOST)), min_size=1, max_size=4)

    @settings(max_examples=FEW if name in SLOW else MANY, derandomize=True, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.integers(0, len(seeds) - 1), st.integers(0, 99), edits)
    def search(seed, file, damage):
        files = dict(seeds[seed])
        places = target.places(files)
        place = places[file % len(places)]
        files[place] = edited(place, files[place], damage, next(iter(files.values())))
        folder = tmp_path / "input"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        judge(target, files, folder)

    search()


def test_the_search_has_every_target():
    assert set(targets()) == set(test_damaged_inputs_give_a_result_or_an_error_that_names_them.pytestmark[0].args[1])


# --- What was found --------------------------------------------------------------------------------------------------


def mat5(tmp_path, val, packed=False):
    """A recording of two leads with a MATLAB file of version 5; returns its header and the file's bytes."""
    path = write_recording(tmp_path, counts=make_counts(2, 800))
    savemat(path.with_suffix(".mat"), {"val": val}, do_compression=packed)
    return path, bytearray(path.with_suffix(".mat").read_bytes())


@pytest.mark.parametrize(
    ("at", "value"), [(128, 999), (136, 27), (152, 77), (156, 7), (168, 200), (176, 10**6), (180, 2**31)]
)
def test_a_matlab_file_with_a_damaged_type_or_size_is_an_error(tmp_path, at, value):
    """`scipy.io.loadmat` ends the process on some of these."""
    path, content = mat5(tmp_path, make_counts(2, 800))
    assert read_recording(path).signal.shape == (2, 800)
    struct.pack_into("<I", content, at, value)
    path.with_suffix(".mat").write_bytes(content)
    with pytest.raises(ReadError, match=r"A0001\.mat: found"):
        read_recording(path)


def test_what_float32_cannot_hold_is_missing(tmp_path):
    values = make_counts(2, 800).astype(float)
    values[0, 7] = 1e308
    path, _ = mat5(tmp_path, values)
    signal = read_recording(path).signal
    assert np.isnan(signal[0, 7]) and np.isfinite(signal).sum() == 1599


def test_an_hdf5_file_with_a_broken_link_is_an_error(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the extra formats is not installed")
    path = write_recording(tmp_path, counts=make_counts(2, 800))
    with h5py.File(path.with_suffix(".mat"), "w", userblock_size=512) as file:
        file["val"] = h5py.SoftLink("/nowhere")
    with pytest.raises(ReadError, match=r"A0001\.mat: found variables val"):
        read_recording(path)


def test_differences_of_no_frames_or_with_a_wide_initial_value_are_errors(tmp_path):
    for form, initial, content in (("8", "0", b""), ("8", "2147483648", b"\1" * 600)):
        (tmp_path / "r.hea").write_text(f"r 1 250 600\nr.dat {form} 200 12 0 {initial} 0 0 I\n")
        (tmp_path / "r.dat").write_bytes(content)
        with pytest.raises(ReadError, match=r"r\.dat: found (no whole sample|initial value 2147483648 of I)"):
            read_recording(tmp_path / "r.hea")


@pytest.mark.parametrize("name", ["parts/", "parts/s", "l~/"])
def test_a_folder_is_no_segment(tmp_path, name):
    (tmp_path / "r.hea").write_text(f"r/1 2 500 1000\n{name} 1000\n")
    with pytest.raises(ReadError, match=r"r\.hea, line 2: found segment .*, expected a record name"):
        read_recording(tmp_path / "r.hea")


def test_a_length_in_dicom_takes_no_memory(tmp_path):
    pytest.importorskip("pydicom", reason="the extra formats is not installed")
    WRITERS["c.dcm"][0](tmp_path / "c.dcm", make_counts(2, 500), ("I", "II"), 500)
    content = (tmp_path / "c.dcm").read_bytes()
    at = content.rindex(b"OW")
    (tmp_path / "c.dcm").write_bytes(content[: at + 4] + struct.pack("<I", 0x7FFFFFF0) + content[at + 8 :])
    tracemalloc.start()
    with suppress(ReadError):
        read_recording(tmp_path / "c.dcm")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def peak_mb(path, message):
    """Peak memory in MB that refusing a file takes."""
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match=message):
            read_recording(path)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_what_is_packed_unpacks_to_a_bounded_size(tmp_path):
    """A small MATLAB, NumPy or HDF5 file cannot take the memory of a large one."""
    path, content = mat5(tmp_path, make_counts(2, 800))
    packer, mega = zlib.compressobj(), bytes(1 << 20)
    packed = packer.compress(struct.pack("<2I", 14, 300 << 20))
    packed += b"".join(packer.compress(mega) for _ in range(300)) + packer.flush()
    path.with_suffix(".mat").write_bytes(content[:128] + struct.pack("<2I", 15, len(packed)) + packed)
    assert len(packed) < 1 << 20 and peak_mb(path, "unpack to more than 67108864") < 200

    packing = zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED)
    with packing as archive, archive.open("ecg.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2, 10**7)})
        for _ in range(160):
            file.write(bytes(10**6))
    assert peak_mb(tmp_path / "a.npz", "unpack to 160000") < 20
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("ecg.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2, 10**9)})
    assert peak_mb(tmp_path / "a.npz", r"ecg\.npy of \d+ bytes, float64 of shape") < 20

    h5py = pytest.importorskip("h5py", reason="the extra formats is not installed")
    with h5py.File(path.with_suffix(".mat"), "w", userblock_size=512) as file:
        file.create_dataset("val", shape=(10**9, 2), dtype="f8", chunks=(1000, 2))
    assert peak_mb(path, "bytes that unpack to 16000000000") < 20


def test_tables_of_another_encoding_are_read_or_errors_that_name_them(tmp_path):
    from leadset.recordings.importers import open_dataset

    (tmp_path / "REFERENCE-v3.csv").write_bytes(b"A\xf6,N\n")
    with pytest.raises(ValueError, match="no header and signal of this name: A\N{LATIN SMALL LETTER O WITH DIAERESIS}"):
        open_dataset(f"af_2017:{tmp_path}")
    (tmp_path / "REFERENCE-v3.csv").write_bytes("A,N\n".encode("utf-16")[:-1])
    with pytest.raises(ValueError, match=r"REFERENCE-v3\.csv"):
        open_dataset(f"af_2017:{tmp_path}")


def test_names_and_ages_of_a_table_may_be_none(tmp_path):
    from leadset.recordings.importers import open_dataset

    (tmp_path / "REFERENCE-v3.csv").write_text("a/\0/b,N\n")
    with pytest.raises(ValueError, match="no header and signal of this name"):
        open_dataset(f"af_2017:{tmp_path}")
    write_recording(tmp_path, "r", make_counts(2, 600))
    rows = ["ecg_id,patient_id,age,sex,scp_codes,strat_fold,filename_lr,filename_hr"]
    rows += [f"{i},{i},{age},1,{{'NORM': 100.0}},1,r,r" for i, age in enumerate(("1e20", "300", "61", "-4"))]
    (tmp_path / "ptbxl_database.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "scp_statements.csv").write_text(
        ",diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\nNORM,1.0,,,NORM,NORM\n"
    )
    data = open_dataset(f"ptbxl:{tmp_path}")
    assert [item.age for item in data.items] == [None, 90, 61, None]
    assert "2 ages are none of a person: taken for unknown" in data.remarks


def test_an_offset_beyond_float32_makes_samples_missing(tmp_path):
    pytest.importorskip("ecgdatakit", reason="the extra formats is not installed")
    WRITERS["d.xml"][0](tmp_path / "d.xml", make_counts(2, 600), ("I", "II"), 500)
    text = (tmp_path / "d.xml").read_text().replace('origin value="0"', 'origin value="1e308"', 1)
    (tmp_path / "d.xml").write_text(text)
    signal = read_recording(tmp_path / "d.xml").signal
    assert np.isnan(signal[0]).all() and np.isfinite(signal[1]).all()


def test_messages_about_a_packed_entry_name_its_file(tmp_path):
    from leadset.entry import load_entry
    from leadset.entry.package import pack

    for name, content in targets()["entry"].seeds()[0].items():
        (tmp_path / name).write_bytes(content)
    pack(tmp_path, tmp_path / "mine.zip")
    content = bytearray((tmp_path / "mine.zip").read_bytes())
    at = content.rindex(b"PK\1\2") + 42  # where the last file's local header is
    struct.pack_into("<I", content, at, 2**32 - 2)
    (tmp_path / "mine.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.zip: not a packed entry"):
        load_entry(tmp_path / "mine.zip")


def test_letters_that_there_are_not_are_an_error(tmp_path):
    signal, leads = np.zeros((2, 500)), np.array(["I", "II"])
    leads.view(np.uint32)[0] = 0x7FFFFFFF
    np.savez(tmp_path / "a.npz", signal=signal, fs=500, unit="mV", leads=leads)
    with pytest.raises(ReadError, match=r"a\.npz: found leads of letters that there are not"):
        read_recording(tmp_path / "a.npz")


def test_classes_of_an_entry_are_texts(tmp_path):
    from leadset.entry import load_entry

    files = targets()["entry"].seeds()[0]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    values = json.loads(files["entry.json"])
    values["classes"][0] = None
    (tmp_path / "entry.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"entry\.json: not an entry of this kit: .*expected texts"):
        load_entry(tmp_path)


def test_sound_files_of_old_versions_are_read_as_before(tmp_path):
    """Every kind of number in MATLAB files of versions 4 to 7, in either order of bytes."""
    from scipy.io import loadmat

    counts = make_counts(2, 600)
    for kind in (np.int16, np.int32, np.float32, np.float64, np.int8, np.uint16):
        values = (counts // 16).astype(kind) if kind == np.int8 else np.abs(counts).astype(kind)
        for options in ({"format": "4"}, {"format": "5"}, {"format": "5", "do_compression": True}):
            if options["format"] == "4" and kind == np.int8:
                continue
            path = write_recording(tmp_path, text=header_text(leads=("I", "II"), n_samples=600), counts=counts)
            savemat(path.with_suffix(".mat"), {"other": "text", "val": values, "more": np.eye(3)}, **options)
            assert np.array_equal(loadmat(path.with_suffix(".mat"))["val"], values)
            assert np.array_equal(read_recording(path).signal, values.astype(np.float32) / np.float32(1000))
    big = struct.pack(">5i4s", 1020, 2, 600, 0, 4, b"val\0") + counts.astype(">i4").tobytes(order="F")
    path.with_suffix(".mat").write_bytes(big)
    assert np.array_equal(read_recording(path).signal, counts.astype(np.float32) / np.float32(1000))
    path.with_suffix(".mat").write_bytes(mat4_bytes(counts))
    assert np.array_equal(read_recording(path).signal, counts.astype(np.float32) / np.float32(1000))


def test_numbers_beyond_floats_and_endless_arrays_are_errors_of_a_configuration(tmp_path):
    from leadset.classes import label_space
    from leadset.config import load_config

    path = tmp_path / "leadset.toml"
    for text, message in ((f"time_limit_hours = {'9' * 400}", "time_limit_hours"), (f"leads = {'[' * 3000}", "TOML")):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"leadset\.toml.*{message}"):
            load_config(path, folder=None).summary()
    with pytest.raises(ValueError, match=r"leadset\.toml: found no TOML"):
        label_space(str(path))


@pytest.mark.parametrize(
    ("network", "option"),
    [("star", "blocks = 2147483648"), ("s4d", "layers = 65"), ("resnet34", "blocks = [2147483648, 1, 1, 1]"),
     ("resnet34", "blocks = [62, 1, 1, 1]")],
)  # fmt: skip
def test_a_number_of_layers_beyond_all_sense_takes_neither_memory_nor_time(tmp_path, network, option):
    from leadset.config import load_config

    path = tmp_path / "leadset.toml"
    path.write_text(f'architectures = ["{network}"]\npreset = "own"\n[presets.own.{network}]\n{option}\n')
    with pytest.raises(ValueError, match=r"leadset\.toml: found .*is .*: expected 1 to 64"):
        load_config(path, folder=None).summary()


@pytest.mark.parametrize("heading", ["\x1efile,AF,NORM", " file, AF , NORM", 'file,AF,NORM"', '"file" ,"AF", "NORM"'])
def test_blanks_and_quotes_about_the_names_of_columns_are_none(tmp_path, heading):
    from leadset.recordings.importers import open_dataset

    write_recording(tmp_path, "r1", make_counts(2, 600))
    (tmp_path / "t.csv").write_text(f"{heading}\nr1.hea,1,0\n/,0,1\n")
    data = open_dataset(f"table:{tmp_path / 't.csv'}", labels="AF,NORM")
    assert [item.codes for item in data.items] == [("164889003",)] and [one.what for one in data.left_out] == ["/"]
