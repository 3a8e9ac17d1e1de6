"""The command ``grade``: outputs, exit status, one line for each bad input, nothing half-written."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from example_models import model_with_sets
from PIL import Image

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
from LumbarDiscGradingLib.models.store import find_model

OUTPUTS = ("_discs.seg.nrrd", "_grades.csv", "_result.json", "_overview.png")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A small volume that can be graded."""
    phantom = lumbar_phantom(1, slice_count=3)
    return write(tmp_path_factory.mktemp("good") / "patient.nrrd", phantom.volume.voxels, phantom.volume)


def write(path, array, volume, spacing=None):
    image = sitk.GetImageFromArray(array)
    matrix = volume.index_to_lps
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(tuple(spacing or steps[::-1]))
    image.SetDirection(tuple((matrix[:3, :3] / steps)[:, ::-1].ravel()))
    image.SetOrigin(tuple(matrix[:3, 3]))
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def outputs(folder):
    return sorted(path.name for path in folder.rglob("*"))


def one_line(text):
    lines = [line for line in text.strip().splitlines() if line]
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


def test_a_volume_is_graded_into_four_files_and_a_scene(good, tmp_path, capsys):
    assert main(["grade", str(good), "--output", str(tmp_path), "--scene", "--device", "cpu"]) == 0
    assert outputs(tmp_path) == sorted(["patient" + suffix for suffix in (*OUTPUTS, ".mrb")])
    assert "L5-S1" in capsys.readouterr().out
    with (tmp_path / "patient_grades.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = "level,group,p_mild,p_moderate,p_serious,pfirrmann,slice,slice_center_lps_mm"
    assert ",".join(rows[0]).startswith(expected)
    assert [row["level"] for row in rows][-5:] == ["L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"]
    details = json.loads((tmp_path / "patient_result.json").read_text())
    assert details["input"]["sha256"]
    assert len(details["models"]) == 2
    labels, volume = sitk.ReadImage(str(tmp_path / "patient_discs.seg.nrrd")), sitk.ReadImage(str(good))
    assert labels.GetSize() == volume.GetSize()
    np.testing.assert_allclose(labels.GetOrigin(), volume.GetOrigin(), atol=1e-4)
    assert Image.open(tmp_path / "patient_overview.png").height >= 1000


def test_possible_grades_stand_in_the_summary_where_the_model_states_them(good, tmp_path, capsys):
    model = model_with_sets(tmp_path / "model")
    output = tmp_path / "out"
    assert main(["grade", str(good), "--output", str(output), "--device", "cpu", "--model", str(model)]) == 0
    said = capsys.readouterr().out
    discs = json.loads((output / "patient_result.json").read_text(encoding="utf-8"))["discs"]
    several = [disc for disc in discs if len(disc["pfirrmann_set"]) > 1]
    assert len(several) == said.count("possible: ") > 0
    assert "low confidence" not in said


def test_without_input_the_sample_is_graded(tmp_path):
    assert main(["grade", "--output", str(tmp_path), "--device", "cpu"]) == 0
    assert outputs(tmp_path) == sorted("sample" + suffix for suffix in OUTPUTS)


def test_inputs_of_the_same_name_do_not_overwrite_each_other(good, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(good, tmp_path / "other" / good.name)
    folder = tmp_path / "out"
    assert (
        main(["grade", str(good), str(tmp_path / "other" / good.name), "--output", str(folder), "--device", "cpu"]) == 0
    )
    assert len(outputs(folder)) == 2 * len(OUTPUTS)


def test_the_slice_is_counted_in_the_files_order(good, tmp_path):
    flipped = sitk.Flip(sitk.ReadImage(str(good)), [False, False, True])
    sitk.WriteImage(flipped, str(tmp_path / "flipped.nrrd"))
    for path, index in ((good, 0), (tmp_path / "flipped.nrrd", 2)):
        assert main(["grade", str(path), "--output", str(tmp_path), "--slice", str(index), "--device", "cpu"]) == 0
    first, second = (json.loads((tmp_path / f"{stem}_result.json").read_text()) for stem in ("patient", "flipped"))
    assert (first["slice"], second["slice"]) == (0, 2)
    assert first["slice_center_lps_mm"] == second["slice_center_lps_mm"]
    assert [d["group"] for d in first["discs"]] == [d["group"] for d in second["discs"]]


def _missing(path, volume):
    return path / "missing.nrrd"


def _empty(path, volume):
    (path / "empty.nii.gz").touch()
    return path / "empty.nii.gz"


def _truncated(path, volume):
    whole = write(path / "truncated.nrrd", volume.voxels, volume)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return whole


def _text(path, volume):
    (path / "text.nii.gz").write_text("This is not an image.")
    return path / "text.nii.gz"


def _several_frames(path, volume):
    image = sitk.JoinSeries([sitk.GetImageFromArray(volume.voxels)] * 2)
    sitk.WriteImage(image, str(path / "frames.nrrd"))
    return path / "frames.nrrd"


def _color(path, volume):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path / "color.png")
    return path / "color.png"


def _constant(path, volume):
    return write(path / "constant.nrrd", np.full_like(volume.voxels, 7), volume)


def _noise(path, volume):
    noise = np.random.default_rng(0).normal(500, 100, volume.voxels.shape).astype(np.float32)
    return write(path / "noise.nrrd", noise, volume)


def _not_finite(path, volume):
    voxels = volume.voxels.astype(np.float32)
    voxels[0, 10, 10], voxels[1, 5, 5] = np.nan, np.inf
    return write(path / "nan.nrrd", voxels, volume)


def _zero_spacing(path, volume):
    source = write(path / "source.nrrd", volume.voxels, volume)
    header, _, data = source.read_bytes().partition(b"\n\n")
    lines = [
        b"space directions: (0,0,0) (0,0.7,0) (0,0,-0.7)" if b"directions" in line else line
        for line in header.split(b"\n")
    ]
    (path / "zero.nrrd").write_bytes(b"\n".join(lines) + b"\n\n" + data)
    source.unlink()
    return path / "zero.nrrd"


def _tiny(path, volume):
    return write(path / "tiny.nrrd", volume.voxels[:3, :3, :3], volume)


def _axial(path, volume):
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 500, (20, 128, 128)).astype(np.int16))
    image.SetSpacing((0.8, 0.8, 4.4))
    sitk.WriteImage(image, str(path / "axial.nrrd"))
    return path / "axial.nrrd"


def _ct(path, volume):
    voxels = volume.voxels.astype(np.float32)
    hounsfield = (voxels / voxels.max() * 1400 - 1000).astype(np.int16)
    hounsfield[:, :, : hounsfield.shape[2] // 3] = -1000
    return write(path / "ct.nrrd", hounsfield, volume)


def _folder_without_series(path, volume):
    (path / "folder").mkdir()
    (path / "folder" / "readme.txt").write_text("nothing here")
    return path / "folder"


BAD = [
    _missing,
    _empty,
    _truncated,
    _text,
    _several_frames,
    _color,
    _constant,
    _noise,
    _not_finite,
    _zero_spacing,
    _tiny,
    _axial,
    _ct,
    _folder_without_series,
]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__.strip("_"))
def test_a_bad_input_gives_one_line_and_nothing_else(make, tmp_path, capfd):
    bad = make(tmp_path, lumbar_phantom(1, slice_count=3).volume)
    folder = tmp_path / "out"
    assert main(["grade", str(bad), "--output", str(folder), "--device", "cpu"]) == 1
    line = one_line(capfd.readouterr().err)
    assert str(bad) in line
    assert outputs(folder) == []


def test_the_others_are_graded_when_one_input_is_bad(good, tmp_path, capfd):
    bad = _text(tmp_path, None)
    folder = tmp_path / "out"
    assert main(["grade", str(bad), str(good), "--output", str(folder), "--device", "cpu"]) == 1
    one_line(capfd.readouterr().err)
    assert outputs(folder) == sorted("patient" + suffix for suffix in OUTPUTS)


def test_an_output_folder_that_cannot_be_written_is_said_at_once(good, tmp_path, capfd):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert main(["grade", str(good), "--output", str(blocked / "out"), "--device", "cpu"]) == 1
    assert "output folder" in one_line(capfd.readouterr().err)
    assert blocked.read_text() == "in the way"


def test_that_highdicom_is_missing_is_said_before_anything_is_graded(good, tmp_path, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)  # as where it is not installed
    assert main(["grade", str(good), "--dicom", "--output", str(tmp_path / "out")]) == 1
    assert capfd.readouterr().err == "Writing DICOM needs highdicom; install it (pip install highdicom).\n"
    assert not (tmp_path / "out").exists()


def test_a_model_with_a_wrong_hash_is_refused(good, tmp_path, capfd):
    folder = tmp_path / "model"
    shutil.copytree(find_model(None, "grading").folder, folder)
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(weights)
    assert main(["grade", str(good), "--output", str(tmp_path / "out"), "--model", str(folder), "--device", "cpu"]) == 1
    assert "hash" in one_line(capfd.readouterr().err)
    assert not Path(tmp_path / "out").exists() or outputs(tmp_path / "out") == []


def test_wrong_usage_is_exit_status_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["grade", "--no-such-option"])
    assert stopped.value.code == 2


def test_grey_rgb_pictures_are_accepted_with_a_note(good, tmp_path, capsys):
    phantom = lumbar_phantom(1, slice_count=3)
    grey = phantom.volume.voxels[1].astype(float)
    grey = np.clip(grey / np.percentile(grey, 99.5) * 255, 0, 255).astype(np.uint8)
    Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(tmp_path / "picture.png")
    arguments = ["grade", str(tmp_path / "picture.png"), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*arguments, "--pixel-size", "0.7"]) == 0
    details = json.loads((tmp_path / "out" / "picture_result.json").read_text())
    assert any("colour" in note.lower() or "grey" in note.lower() for note in details["input"]["notes"])
    assert details["discs"][0]["measurements"]["height_mm"] is not None
