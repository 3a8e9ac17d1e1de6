"""The command ``series``: what a folder holds, what would be graded and why not the others, and `grade --series`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import AXIAL, T1_TIMES, T2_TIMES, Series, write_series

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.imaging.reading import read_volume


def voxels(seed: int, count: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 900, (count, 48, 40)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    """A study with a localizer, STIR, T1, T2 and an axial series, whose texts name the patient."""
    write_series(tmp_path, Series(voxels(1, 3), number=1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(tmp_path, Series(voxels(2), number=2, attributes={**T2_TIMES, "InversionTime": 160.0}))
    write_series(tmp_path, Series(voxels(3), number=3, attributes=T1_TIMES))
    write_series(tmp_path, Series(voxels(4), number=4, attributes={**T2_TIMES, "SeriesDescription": "Doe T2 sag"}))
    write_series(tmp_path, Series(voxels(5), AXIAL, number=5))
    return tmp_path


def rows(text: str) -> dict[str, str]:
    return {line.removeprefix("taken").split()[0]: line for line in text.splitlines()[1:]}


def test_each_series_is_listed_with_what_it_is_and_why_it_is_not_taken(folder, capsys):
    assert main(["series", str(folder)]) == 0
    said = capsys.readouterr().out
    listed = rows(said)
    assert sorted(listed) == ["1", "2", "3", "4", "5"]
    assert [number for number in listed if listed[number].startswith("taken")] == ["4"]
    for number, reason in (("1", "localizer"), ("2", "fat suppression"), ("3", "T1, not T2"), ("5", "axial, not sag")):
        assert reason in listed[number]
    assert "t2 sag" in listed["4"]
    assert "doe" not in said.lower() and "SECRET" not in said


def test_of_equally_suitable_series_the_table_says_what_decides(tmp_path, capsys):
    write_series(tmp_path, Series(voxels(1), number=1, spacing_mm=(4.0, 0.7, 0.7)))
    write_series(tmp_path, Series(voxels(2), number=2, spacing_mm=(4.0, 0.6, 0.6)))
    write_series(tmp_path, Series(voxels(3, 3), number=3, spacing_mm=(9.0, 0.6, 0.6)))
    main(["series", str(tmp_path)])
    listed = rows(capsys.readouterr().out)
    assert listed["2"].startswith("taken")
    assert "coarser pixels" in listed["1"] and "lies like a localizer" in listed["3"]


def test_a_series_that_could_not_be_graded_is_listed_and_ends_with_its_reason(folder, tmp_path, capsys):
    next(tmp_path.glob("s04_004*")).unlink()
    assert main(["series", str(folder)]) == 1
    told = capsys.readouterr()
    assert rows(told.out)["4"].startswith("taken")
    assert told.err.count("\n") == 1 and "1 slice is missing" in told.err
    assert main(["series", str(folder), "--series", "axial"]) == 1
    assert "no series with that" in capsys.readouterr().err
    assert main(["series", str(folder / "missing")]) == 1


def test_two_people_are_told_apart(tmp_path, capsys):
    for number, patient in ((1, "P-1111"), (2, "P-2222")):
        attributes = {**T2_TIMES, "PatientID": patient, "PatientName": f"Roe^{patient}"}
        write_series(tmp_path, Series(voxels(number), number=number, attributes=attributes))
    assert main(["series", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "person 2" in rows(said)["2"] and "2 people" in said
    assert "P-1111" not in said


def test_grade_takes_the_series_that_is_asked_for(tmp_path, capsys):
    spine = lumbar_phantom(1, slice_count=3).volume.voxels.astype(np.uint16)
    write_series(tmp_path / "in", Series(spine, number=8, attributes=T2_TIMES, spacing_mm=(4.0, 0.9, 0.9)))
    write_series(tmp_path / "in", Series(spine, number=9, attributes=T1_TIMES, spacing_mm=(4.0, 0.9, 0.9)))
    grade = ["grade", str(tmp_path / "in"), "--device", "cpu", "--output", str(tmp_path / "out"), "--series"]
    assert main([*grade, "9"]) == 0
    result = json.loads((tmp_path / "out" / "in_result.json").read_text())
    assert any("Read from DICOM series 9" in note and "series 8" in note for note in result["input"]["notes"])
    assert main([*grade, "10"]) == 1
    assert "no series with that" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("command", [["series", "in"], ["series", "missing"], ["models", "list"]])
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_disk_behind_standard_output_is_one_sentence(tmp_path, command, unbuffered):
    write_series(tmp_path / "in", Series(voxels(1)))
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "LumbarDiscGradingLib.cli.main", *command],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": unbuffered,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
        )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1 and "Traceback" not in run.stderr


def not_utf8(tmp_path: Path, name: bytes) -> Path:
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    try:
        path.mkdir()
    except (OSError, UnicodeDecodeError):
        pytest.skip("this file system holds UTF-8 names only")
    return path


def test_names_that_are_not_utf8_are_read_and_written_with_escapes(tmp_path, capsys):
    spine = lumbar_phantom(1, slice_count=3).volume.voxels.astype(np.uint16)
    folder = not_utf8(tmp_path, b"M\xfcller")
    write_series(folder, Series(spine, spacing_mm=(4.0, 0.9, 0.9)))
    (folder / "volume.nrrd").write_bytes(b"")
    assert main(["grade", str(folder), "--device", "cpu", "--output", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir())[0] == "M%FCller_discs.seg.nrrd"
    assert main(["series", str(folder)]) == 0
    capsys.readouterr()
    assert main(["grade", str(folder), "--output", str(not_utf8(tmp_path, b"o\xff"))]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "o%FF is not UTF-8" in told


def test_a_volume_file_whose_name_is_not_utf8_is_read(tmp_path):
    folder = not_utf8(tmp_path, b"\xe4")
    sitk.WriteImage(sitk.GetImageFromArray(voxels(1, 48)), str(tmp_path / "volume.nrrd"))
    os.rename(tmp_path / "volume.nrrd", os.path.join(os.fsencode(folder), b"\xf6.nrrd"))
    volume = read_volume(Path(os.fsdecode(os.path.join(os.fsencode(folder), b"\xf6.nrrd"))))
    assert volume.source.name == "%F6" and volume.slice_count == 40
