"""The labelled data set on disk, and the import of folders of images, masks and grades."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from LumbarDiscGradingLib.cli.main import main
from LumbarDiscGradingLib.dataset.discs import labelled_mask, require_order_of_tissues, separate_discs
from LumbarDiscGradingLib.dataset.importing import import_folder
from LumbarDiscGradingLib.dataset.labelled import LabelledDataset, person_of
from LumbarDiscGradingLib.dataset.manifest import SCHEMA_PATH, DatasetError, label_table
from LumbarDiscGradingLib.dataset.splits import STUDY_PROPORTIONS, packaged_splits, read_splits, split_patients
from LumbarDiscGradingLib.dataset.writing import CaseToWrite, Reading, write_dataset
from LumbarDiscGradingLib.imaging.volume import SagittalVolume
from LumbarDiscGradingLib.json_schema import first_violation
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LEVELS_UPWARD, SIX_LUMBAR_UPWARD, Tissue

SHAPE = (5, 160, 64)  # slices, rows, columns
DISC_HEIGHT, DISC_STEP, LOWEST_ROW = 6, 22, 140


def tissues(discs: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """A straight spine: discs between vertebrae, a canal behind; canonical order."""
    mask = np.zeros(shape, np.uint8)
    mask[:, 5:150, 15:40] = Tissue.VERTEBRA
    mask[:, 5:150, 42:48] = Tissue.CANAL
    for number in range(discs):
        top = LOWEST_ROW - DISC_STEP * number
        mask[:, top : top + DISC_HEIGHT, 15:40] = Tissue.DISC
    return mask


def write_image(path: Path, canonical: np.ndarray, spacing_mm: float = 1.5) -> None:
    """Write a canonical array stored back to front and left to right, as a scanner might."""
    stored = canonical[::-1, :, ::-1]
    image = sitk.GetImageFromArray(np.ascontiguousarray(stored))
    image.SetSpacing((spacing_mm, spacing_mm, 4.0))
    image.SetDirection((0, 0, -1, -1, 0, 0, 0, -1, 0))  # columns back to front, rows head to feet, slices left to right
    image.SetOrigin((10.0, 40.0, 90.0))
    sitk.WriteImage(image, str(path))


def write_source(folder: Path, discs_by_patient: dict[str, int], graded_by_patient: dict[str, int]) -> Path:
    folder.mkdir()
    rows = ["patient,level,pfirrmann,group"]
    for seed, (patient, discs) in enumerate(discs_by_patient.items()):
        random = np.random.default_rng(seed)
        mask = tissues(discs)
        image = (mask.astype(np.int16) * 40 + random.integers(0, 20, mask.shape)).astype(np.int16)
        write_image(folder / f"{patient}_t2.nrrd", image)
        write_image(folder / f"{patient}_labels.nrrd", mask)
        for index, level in enumerate(LEVELS_UPWARD[: graded_by_patient[patient]]):
            rows.append(f"{patient},{level},{1 + index % 5},mild")
    (folder / "grades.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "clinic", {"a1": 5, "b2": 6, "c3": 5, "d4": 6}, {"a1": 5, "b2": 6, "c3": 6, "d4": 6})


@pytest.fixture
def dataset(source, tmp_path):
    return import_folder(source, tmp_path / "imported")


def case_of(dataset: LabelledDataset, patient: str):
    return next(case for case in dataset.cases if case.patient == patient)


def test_imported_image_and_mask_come_back_in_canonical_order_and_lie_on_each_other(dataset, source):
    case = case_of(dataset, "a1")
    volume, mask = case.volume(), case.mask()
    expected = tissues(5)
    assert np.array_equal(np.isin(mask, list(DISC_LABELS.values())), expected == Tissue.DISC)
    assert np.array_equal(mask == Tissue.CANAL, expected == Tissue.CANAL)
    assert mask.dtype == np.uint8 and mask.shape == volume.voxels.shape
    assert volume.voxels[mask == Tissue.CANAL].min() >= 120 > volume.voxels[mask == Tissue.VERTEBRA].max()
    assert volume.spacing_mm == pytest.approx((4.0, 1.5, 1.5))
    stored = sitk.ReadImage(str(source / "a1_t2.nrrd"))
    kept = sitk.ReadImage(str(dataset.folder / "images" / "a1.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(stored), sitk.GetArrayFromImage(kept))
    assert kept.GetDirection() == pytest.approx(stored.GetDirection())
    assert kept.GetOrigin() == pytest.approx(stored.GetOrigin())


def test_discs_get_the_labels_of_their_levels_from_the_bottom_up(dataset):
    mask = case_of(dataset, "b2").mask()
    for index, level in enumerate(("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1")):
        rows = np.flatnonzero((mask == DISC_LABELS[level]).any(axis=(0, 2)))
        top = LOWEST_ROW - DISC_STEP * index
        assert (rows.min(), rows.max()) == (top, top + DISC_HEIGHT - 1), level
    assert case_of(dataset, "b2").grades == {
        "L5-S1": 1, "L4-L5": 2, "L3-L4": 3, "L2-L3": 4, "L1-L2": 5, "T12-L1": 1
    }  # fmt: skip


def test_levels_are_not_trusted_where_discs_and_grades_differ_in_number(dataset):
    case = case_of(dataset, "c3")
    assert not case.levels_trusted
    assert case.notes == ("The mask has 5 discs, 6 are graded: levels not trusted.",)
    assert set(np.unique(case.mask())) == {0, 1, 2, 3}
    assert [other.patient for other in dataset.cases if other.levels_trusted] == ["a1", "b2", "d4"]


def test_each_patient_is_in_one_split_and_the_split_is_the_same_each_time(source, tmp_path):
    first = import_folder(source, tmp_path / "one", seed=3)
    again = import_folder(source, tmp_path / "two", seed=3)
    splits = {case.patient: case.split for case in first.cases}
    assert splits == {case.patient: case.split for case in again.cases}
    counted = [len(first.cases_in(split)) for split in ("train", "tune", "test")]
    assert sum(counted) == 4 and min(counted) >= 1
    with pytest.raises(DatasetError, match="train, tune, test"):
        first.cases_in("validation")


def test_a_given_split_is_followed_and_new_patients_are_added_to_it(source, tmp_path):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"train": ["d4"], "tune": ["a1"], "test": ["b2", "elsewhere"]}))
    dataset = import_folder(source, tmp_path / "imported", splits=path)
    assert {case.patient: case.split for case in dataset.cases} == {
        "a1": "tune", "b2": "test", "c3": "train", "d4": "train"
    }  # fmt: skip
    path.write_text(json.dumps({"train": ["d4"], "tune": ["a1"], "test": ["d4"]}))
    with pytest.raises(DatasetError, match="more than one split"):
        import_folder(source, tmp_path / "other", splits=path)


@given(st.sets(st.text("abc012", min_size=1, max_size=6), max_size=60), st.integers(0, 5), st.data())
@settings(max_examples=50, deadline=None)
def test_a_split_parts_the_patients_and_keeps_the_frozen_ones(patients, seed, data):
    frozen_test = data.draw(st.sets(st.sampled_from(sorted(patients)), max_size=5)) if patients else set()
    splits = split_patients(patients, {"train": [], "tune": [], "test": frozen_test}, seed)
    placed = [patient for split in splits.values() for patient in split]
    assert sorted(placed) == sorted(patients)
    assert frozen_test <= set(splits["test"])


def test_a_split_has_about_the_proportions_of_the_study():
    splits = split_patients([f"{number:04}" for number in range(4660)])
    assert {split: len(patients) for split, patients in splits.items()} == {
        "train": pytest.approx(3000, abs=100), "tune": pytest.approx(720, abs=75), "test": pytest.approx(940, abs=85)
    }  # fmt: skip
    without_tuning = split_patients(
        [f"{number:03}" for number in range(466)], None, 0, {"train": 1, "tune": 0, "test": 1}
    )
    assert without_tuning["tune"] == [] and 200 < len(without_tuning["test"]) < 266


@given(st.sets(st.text("abc012", min_size=1, max_size=6), max_size=40), st.integers(0, 50), st.data())
@settings(max_examples=300, deadline=None)
def test_a_test_patient_stays_one_when_patients_join_and_few_patients_still_train(patients, seed, data):
    proportions = data.draw(st.sampled_from([STUDY_PROPORTIONS, {"train": 1, "tune": 1, "test": 8}]))
    fewer = data.draw(st.sets(st.sampled_from(sorted(patients)))) if patients else set()
    before, after = (split_patients(names, None, seed, proportions) for names in (fewer, patients))
    assert set(before["test"]) <= set(after["test"])
    for names, splits in ((fewer, before), (patients, after)):
        assert sorted(patient for split in splits.values() for patient in split) == sorted(names)
        assert bool(splits["train"]) == bool(names)
        assert splits["tune"] or len(names) < 3 or len(splits["train"]) == 1


def test_new_patients_do_not_move_those_of_a_frozen_split_and_join_by_themselves():
    frozen = {"train": ["a"], "tune": ["b"], "test": ["c"]}
    new = [f"n{number}" for number in range(60)]
    together = split_patients(["a", "b", "c", *new], frozen)
    for patient in new:
        alone = split_patients(["a", "b", "c", patient], frozen)
        assert [split for split in alone if patient in alone[split]] == [
            split for split in together if patient in together[split]
        ]
    assert all(len(patients) > 1 for patients in together.values())


def test_pictures_become_one_sagittal_slice_of_the_given_pixel_size(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.arange(192 * 128, dtype=np.uint32).reshape(192, 128) % 251
    sitk.WriteImage(sitk.GetImageFromArray(pixels.astype(np.uint8)), str(folder / "p1_t2.png"))
    (folder / "grades.csv").write_text("patient,level,pfirrmann\np1,L4-L5,4\n")
    case = import_folder(folder, tmp_path / "known", pixel_size_mm=0.6875).cases[0]
    volume = case.volume()
    assert (case.kind, case.pixel_size_known, volume.scale_known) == ("picture", True, True)
    assert np.array_equal(volume.voxels, pixels[None])
    assert volume.spacing_mm[1:] == pytest.approx((0.6875, 0.6875))
    down = np.subtract(volume.lps_mm(0, 1, 0), volume.lps_mm(0, 0, 0))
    back = np.subtract(volume.lps_mm(0, 0, 1), volume.lps_mm(0, 0, 0))
    assert down[2] < 0 < back[1]
    assert case.grades == {"L4-L5": 4} and not case.has_mask and case.mask() is None
    unknown = import_folder(folder, tmp_path / "unknown").cases[0]
    assert not unknown.pixel_size_known and not unknown.volume().scale_known


def write_picture(folder: Path, patient: str = "p1") -> None:
    pixels = np.arange(192 * 128, dtype=np.uint32).reshape(192, 128) % 251
    sitk.WriteImage(sitk.GetImageFromArray(pixels.astype(np.uint8)), str(folder / f"{patient}_t2.png"))


def test_points_of_the_levels_belong_to_the_data_set_and_are_verified(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(folder)
    (folder / "levels.csv").write_text("patient,level,column,row\np1,L4-L5,60.5,120.25\np1,L5-S1,64,150\n")
    dataset = import_folder(folder, tmp_path / "known", pixel_size_mm=0.6875)
    assert dataset.cases[0].level_points == {"L4-L5": (120.25, 60.5), "L5-S1": (150.0, 64.0)}
    assert dataset.verify() == []
    path = dataset.folder / "levels.csv"
    path.write_text(path.read_text().replace("60.5", "61.5"))
    assert dataset.verify() == ["levels.csv has been changed since the data set was written."]
    assert LabelledDataset.open(dataset.folder).cases[0].level_points["L4-L5"] == (120.25, 61.5)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("p1,L4-L5,x,120", "expected patient, level"),
        ("p1,L9-L10,60,120", "expected patient, level"),
        ("p1,L4-L5,60,nan", "expected patient, level"),
        ("p1,L5-S1,60,120", "L5-S1 twice"),
        ("p7,L4-L5,60,120", "no image of patient p7"),
    ],
)
def test_a_wrong_row_of_points_is_named(tmp_path, row, message):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(folder)
    (folder / "levels.csv").write_text(f"patient,level,column,row\np1,L5-S1,64,150\n{row}\n")
    with pytest.raises(DatasetError, match=message):
        import_folder(folder, tmp_path / "known")
    assert not (tmp_path / "known").exists()


def test_pictures_with_a_table_of_sizes_have_a_scale_only_where_it_is_plausible(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(folder, "p1")
    write_picture(folder, "p2")
    (folder / "grades.csv").write_text("patient,level,pfirrmann\np1,L4-L5,4\np2,L4-L5,3\n")
    (folder / "images.csv").write_text("patient,nominal_pixel_mm,geometry\np1,0.9,plausible\np2,0.6,unknown\n")
    known, unknown = import_folder(folder, tmp_path / "known").cases
    assert known.pixel_size_known and known.volume().spacing_mm[1:] == pytest.approx((0.9, 0.9))
    assert not unknown.pixel_size_known
    (folder / "images.csv").write_text("patient,size\np1,0.9\n")
    with pytest.raises(DatasetError, match="no column for nominal_pixel_mm"):
        import_folder(folder, tmp_path / "again")


def test_a_patient_of_both_public_spider_sets_is_in_the_same_split_of_both():
    space, pictures = (read_splits(packaged_splits(name)) for name in ("spider_space", "spider_t2"))
    split_of = {patient: split for split, patients in pictures.items() for patient in patients}
    both = [
        (split, split_of[patient]) for split, patients in space.items() for patient in patients if patient in split_of
    ]
    assert len(both) == 31
    assert all(first == second for first, second in both)


def test_specks_are_dropped_and_touching_discs_are_cut():
    mask = tissues(4)
    discs = mask == Tissue.DISC
    top = LOWEST_ROW - DISC_STEP
    discs[2, 10, 50] = True
    discs[2, top + DISC_HEIGHT : LOWEST_ROW, 25:27] = True  # a bridge of two pixels between the lowest two
    assert separate_discs(discs).max() == 3
    numbered = separate_discs(discs, expected=4)
    assert numbered.max() == 4 and numbered[2, 10, 50] == 0
    assert set(numbered[:, LOWEST_ROW, 15:40].ravel()) == {1} and set(numbered[:, top, 15:40].ravel()) == {2}


@pytest.mark.parametrize(
    ("rows_away", "columns"),
    [(12, 25), (18, 5)],  # near but as broad as a disc; as far as the next disc but small
)
def test_a_bulge_is_not_taken_for_the_disc_that_is_missing(rows_away, columns):
    mask = np.pad(tissues(4), ((0, 0), (0, 20), (0, 0)))
    below = LOWEST_ROW + DISC_HEIGHT
    mask[:, below : below + rows_away - DISC_HEIGHT, 15] = Tissue.DISC  # a thin neck
    mask[:, LOWEST_ROW + rows_away : LOWEST_ROW + rows_away + 5, 15 : 15 + columns] = Tissue.DISC
    labels, trusted, count = labelled_mask(mask, LEVELS_UPWARD[:5])
    assert (trusted, count) == (False, 4)
    assert set(np.unique(labels)) == {0, 1, 2, 3}


def test_levels_with_a_gap_are_not_trusted():
    _, trusted, count = labelled_mask(tissues(3), ["L5-S1", "L4-L5", "L2-L3"])
    assert (trusted, count) == (False, 3)


def test_a_mask_that_does_not_belong_to_its_image_is_refused(dataset):
    case = case_of(dataset, "b2")
    write_image(case.mask_path, tissues(6), spacing_mm=1.4)
    with pytest.raises(DatasetError, match="b2 does not lie on"):
        case.mask()
    write_image(case.mask_path, tissues(6)[:4])
    with pytest.raises(DatasetError, match="b2 does not lie on"):
        case.mask()
    write_image(case.mask_path, tissues(6) * 9)
    with pytest.raises(DatasetError, match=r"unknown values \[9, 18, 27\]"):
        case.mask()


def test_verify_names_files_that_were_changed_or_removed(dataset):
    assert dataset.verify() == []
    with (dataset.folder / "masks" / "b2.nrrd").open("ab") as stream:
        stream.write(b"x")
    (dataset.folder / "images" / "c3.nrrd").unlink()
    problems = dataset.verify()
    assert len(problems) == 2
    assert any("images/c3.nrrd is missing" in problem for problem in problems)
    assert any("masks/b2.nrrd has been changed" in problem for problem in problems)
    with pytest.raises(DatasetError, match=r"c3\.nrrd is missing"):
        LabelledDataset.open(dataset.folder)


def change_manifest(dataset: LabelledDataset, change) -> None:
    path = dataset.folder / "dataset.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("splits"), "no 'splits'"),
        (lambda m: m.update(schema_version=9), "newer than this program"),
        (lambda m: m["splits"]["tune"].extend(m["splits"]["test"]), "more than one split"),
        (lambda m: m["splits"]["test"].clear(), "no split"),
        (lambda m: m["labels"].update({"95": "L3-L4"}), "other mask values"),
        (lambda m: m["cases"][0]["image"].update(path="images/../../secret.nrrd"), "does not match"),
        (lambda m: m["cases"][0].update(kind="movie"), "'movie'"),
        (lambda m: m["cases"].append(m["cases"][0]), "lists twice"),
        (lambda m: m["cases"][0].update(subject="Doe, Jane"), "does not match"),
        (lambda m: [c.update(subject="p1") for c in m["cases"]], "one person in more than one split: subject p1"),
        (lambda m: m["cases"][0].update(subject="d4"), "one person in more than one split: subject d4"),
    ],
)
def test_a_manifest_that_is_not_valid_is_refused(dataset, change, message):
    change_manifest(dataset, change)
    with pytest.raises(DatasetError, match=message):
        LabelledDataset.open(dataset.folder)


def test_a_folder_without_manifest_or_with_a_broken_one_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="not a labelled data set"):
        LabelledDataset.open(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="cannot be read"):
        LabelledDataset.open(tmp_path)


def test_the_manifest_follows_its_schema_in_the_eyes_of_jsonschema_too(dataset):
    manifest = json.loads((dataset.folder / "dataset.json").read_text(encoding="utf-8"))
    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(manifest, schema)
    assert manifest["labels"] == label_table()
    assert manifest["labels"]["100"] == "L5-S1" and manifest["labels"]["2"] == "disc"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats(-2, 5) | st.sampled_from(["", "x", "train", "0" * 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=6,
)


@given(st.data(), JSON_VALUES)
@settings(max_examples=150, deadline=None)
def test_the_schema_check_agrees_with_jsonschema(data, value):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    manifest = {
        "schema": "LumbarDiscGrading/dataset", "schema_version": 1, "name": "n", "licence": "", "attribution": "",
        "labels": {"0": "background"}, "grades": {"path": "grades.csv", "sha256": "0" * 64},
        "cases": [{
            "patient": "a", "kind": "volume", "image": {"path": "images/a.nrrd", "sha256": "0" * 64}, "mask": None,
            "pixel_size_mm": [0.5, 0.5], "pixel_size_known": True, "levels_trusted": True, "notes": [],
        }],
        "splits": {"train": ["a"], "tune": [], "test": []}, "provenance": {"seed": 0},
    }  # fmt: skip
    assert first_violation(manifest, schema) is None
    assert first_violation({**manifest, "schema_version": True}, schema) is not None  # true is not 1
    place = data.draw(st.sampled_from([manifest, manifest["grades"], manifest["cases"][0], manifest["splits"]]))
    place[data.draw(st.sampled_from([*place, "new"]))] = value
    agrees = jsonschema.Draft202012Validator(schema).is_valid(manifest)
    assert (first_violation(manifest, schema) is None) == agrees


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 2.0], [True, 1.5, "1", None]),
        ({"type": "number"}, [1, 0.5], [False, "0.5"]),
        ({"type": "boolean"}, [True], [1, 0.0]),
        ({"type": ["object", "null"], "required": ["a"]}, [None, {"a": 1}], [{}, []]),
        ({"enum": [1, "x"]}, [1, "x"], [True, "y"]),
        ({"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": True}, [["a", "b"]], [[], [1, 1], [1, 2, 3]]),
        ({"additionalProperties": {"type": "string"}}, [{"a": "b"}], [{"a": 1}]),
        ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}], [{"b": 1}]),
        ({"minimum": 0, "maximum": 2}, [0, 2], [-1, 3, float("nan")]),
        ({"exclusiveMinimum": 0}, [0.1], [0, float("nan")]),
    ],
)
def test_each_keyword_of_a_schema_is_checked(schema, good, bad):
    assert [value for value in good if first_violation(value, schema)] == []
    assert [value for value in bad if not first_violation(value, schema)] == []


def test_a_schema_keyword_that_is_not_checked_is_refused():
    with pytest.raises(ValueError, match="oneOf"):
        first_violation({}, {"oneOf": []})


@pytest.mark.parametrize(
    ("row", "message"),
    [("a1,L4-L5,6", "line 28"), ("a1,L4/L5,2", "L4/L5"), ("a1,L5-S1,2", "twice"), ("z9,L5-S1,2", "z9")],
)
def test_a_wrong_row_of_grades_is_named_and_nothing_is_written(source, tmp_path, row, message):
    table = source / "grades.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*[",".join(line.split(",")[:3]) for line in lines], row]) + "\n", encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DatasetError, match=message if message != "line 28" else f"line {len(lines) + 1}"):
        import_folder(source, tmp_path / "imported")
    assert sorted(tmp_path.iterdir()) == before


def rewritten(table: Path, change) -> None:
    table.write_bytes(change(table.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
        lambda text: text.replace("patient,level,pfirrmann", "Patient ID,Disc Level,Pfirrmann_Grade").encode(),
        lambda text: ("\n" + text).encode(),
    ],
    ids=["semicolons", "tabs in UTF-16", "spreadsheet", "other names", "blank line"],
)
def test_a_table_of_grades_is_read_as_spreadsheets_write_it(source, tmp_path, change):
    expected = {case.patient: case.grades for case in import_folder(source, tmp_path / "plain").cases}
    rewritten(source / "grades.csv", change)
    assert {case.patient: case.grades for case in import_folder(source, tmp_path / "other").cases} == expected


@pytest.mark.parametrize(
    ("header", "said"), [("patient,hight,pfirrmann", "no column for level"), ("patient,disc,IVD,grade", "several")]
)
def test_a_table_without_a_column_says_which_names_are_expected(source, tmp_path, header, said):
    rewritten(source / "grades.csv", lambda text: "\n".join([header, *text.splitlines()[1:]]).encode())
    with pytest.raises(DatasetError, match=said) as caught:
        import_folder(source, tmp_path / "out")
    assert "patient, level, pfirrmann" in str(caught.value)


def test_patients_with_blanks_and_umlauts_get_plain_names_and_keep_their_grades(tmp_path):
    folder = write_source(tmp_path / "source", {"a1": 5, "b2": 5}, {"a1": 5, "b2": 5})
    for file in folder.glob("a1_*"):
        file.rename(folder / file.name.replace("a1", "Mu\u0308ller Ann"))  # as macOS writes it
    for file in folder.glob("b2_*"):
        file.rename(folder / file.name.replace("b2", "Mueller_Ann"))
    table = (folder / "grades.csv").read_text(encoding="utf-8")
    table = table.replace("a1", "M\u00fcller Ann").replace("b2", "Mueller_Ann")
    (folder / "grades.csv").write_bytes(table.encode("cp1252"))
    cases = import_folder(folder, tmp_path / "set").cases
    assert sorted(case.patient for case in cases) == ["Mueller_Ann", "Mueller_Ann_2"]
    assert all(len(case.grades) == 5 and case.levels_trusted for case in cases)


def test_levels_of_six_lumbar_vertebrae_are_trusted_and_said_and_a_missing_l5_s1_too(tmp_path):
    folder = write_source(tmp_path / "source", {"six": 6, "four": 4}, {"six": 6, "four": 4})
    six = [f"six,{level},2" for level in SIX_LUMBAR_UPWARD[:6]]
    four = [f"four,{level},2" for level in LEVELS_UPWARD[1:5]]
    (folder / "grades.csv").write_text("\n".join(["patient,level,pfirrmann", *six, *four]) + "\n")
    dataset = import_folder(folder, tmp_path / "set")
    case = case_of(dataset, "six")
    assert case.levels_trusted and any("six lumbar" in note for note in case.notes)
    assert set(np.unique(case.mask())) >= {DISC_LABELS["L5-L6"], DISC_LABELS["L6-S1"]}
    case = case_of(dataset, "four")
    assert not case.levels_trusted and any("sacralized" in note for note in case.notes)


def break_mask_values(source: Path) -> None:
    write_image(source / "d4_labels.nrrd", tissues(6) * 7)


def break_mask_geometry(source: Path) -> None:
    write_image(source / "d4_labels.nrrd", tissues(6), spacing_mm=1.4)


def break_image(source: Path) -> None:
    (source / "d4_t2.nrrd").write_bytes(b"not an image")


def spine_map() -> np.ndarray:
    """Five discs between six vertebrae, a canal behind them."""
    spine = np.zeros((5, 120, 64), np.uint8)
    for level in range(6):
        spine[:, 4 + 20 * level : 16 + 20 * level, 10:40] = Tissue.VERTEBRA
        spine[:, 16 + 20 * level : 24 + 20 * level, 10:40] = Tissue.DISC
    spine[:, 116:] = 0
    spine[:, 2:118, 44:52] = Tissue.CANAL
    return spine


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0, 2, 1, 3), "larger than its vertebrae"),
        ((0, 1, 3, 2), "canal in more pieces"),
        ((0, 3, 2, 1), "larger than its vertebrae"),
        ((0, 2, 3, 1), "larger than its vertebrae"),
        ((0, 3, 1, 2), "canal in more pieces"),
        ((0, 1, 0, 3), "holds no disc"),
        ((0, 0, 0, 0), "holds no disc"),
    ],
)
def test_a_mask_whose_values_are_in_another_order_is_refused(tmp_path, values, said):
    require_order_of_tissues(spine_map(), "a map in order")
    source = write_source(tmp_path / "source", {"p1": 5}, {"p1": 5})
    write_image(source / "p1_t2.nrrd", np.random.default_rng(1).integers(0, 500, spine_map().shape).astype(np.int16))
    write_image(source / "p1_labels.nrrd", np.array(values, np.uint8)[spine_map()])
    with pytest.raises(DatasetError, match=said) as caught:
        import_folder(source, tmp_path / "set")
    assert "p1_labels.nrrd" in str(caught.value) and not (tmp_path / "set").exists()


def test_discs_alone_and_one_vertebra_beside_many_discs_are_no_other_order():
    spine = spine_map()
    require_order_of_tissues(np.where(spine == Tissue.DISC, spine, 0), "discs alone")
    spine[:, 24:][spine[:, 24:] == Tissue.VERTEBRA] = 0
    require_order_of_tissues(spine, "one vertebra")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (break_mask_values, r"values \[7, 14, 21\]"),
        (break_mask_geometry, "patient d4 does not lie on"),
        (break_image, r"d4_t2\.nrrd"),
    ],
)
def test_an_import_that_fails_says_why_and_leaves_nothing_behind(source, tmp_path, harm, message):
    harm(source)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DatasetError, match=message):
        import_folder(source, tmp_path / "imported")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_holds_nothing_usable_is_refused(tmp_path):
    empty = tmp_path / "empty"
    with pytest.raises(DatasetError, match="is not a folder"):
        import_folder(empty, tmp_path / "imported")
    empty.mkdir()
    with pytest.raises(DatasetError, match="holds no image"):
        import_folder(empty, tmp_path / "imported")
    write_image(empty / "a_t2.nrrd", tissues(3))
    with pytest.raises(DatasetError, match="neither masks"):
        import_folder(empty, tmp_path / "imported")


def test_what_is_at_the_destination_is_only_replaced_when_told_so(source, dataset, tmp_path):
    with pytest.raises(DatasetError, match="exists already"):
        import_folder(source, dataset.folder)
    (source / "d4_t2.nrrd").write_bytes(b"")
    with pytest.raises(DatasetError):
        import_folder(source, dataset.folder, replace=True)
    assert LabelledDataset.open(dataset.folder).verify() == []
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter.txt").write_text("words")
    with pytest.raises(DatasetError, match="not a labelled data set"):
        import_folder(source, precious, replace=True)
    assert (precious / "chapter.txt").read_text() == "words"


def test_replacing_leaves_only_the_new_data_set(source, dataset):
    for path in source.glob("d4_*"):
        path.unlink()
    table = source / "grades.csv"
    table.write_text("".join(line for line in table.open() if not line.startswith("d4")), encoding="utf-8")
    fresh = import_folder(source, dataset.folder, replace=True)
    assert [case.patient for case in fresh.cases] == ["a1", "b2", "c3"]
    assert not (dataset.folder / "images" / "d4.nrrd").exists()
    assert not [path for path in dataset.folder.parent.iterdir() if path.name.startswith(".")]


def test_a_reader_s_grades_are_kept_beside_the_reference(tmp_path):
    matrix = np.array([[0, 0, -4.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]])
    volume = SagittalVolume.from_stored(np.ones((3, 40, 40), np.float32), matrix)
    case = CaseToWrite("p", volume, grades={"L4-L5": 3}, readings=(Reading("L4-L5", 2, "A"), Reading("L4-L5", 4, "B")))
    dataset = write_dataset(
        tmp_path / "study", name="study", cases=[case], splits={"train": ["p"]}, licence="CC0-1.0", attribution="us"
    )
    assert dataset.cases[0].grades == {"L4-L5": 3}
    assert (dataset.folder / "grades.csv").read_text().splitlines() == [
        "patient,level,pfirrmann,reader", "p,L4-L5,3,", "p,L4-L5,2,A", "p,L4-L5,4,B"
    ]  # fmt: skip
    assert (dataset.manifest["licence"], dataset.manifest["attribution"]) == ("CC0-1.0", "us")


def test_cases_of_one_person_are_known_as_such(tmp_path):
    matrix = np.array([[0, 0, -4.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]])
    volume = SagittalVolume.from_stored(np.ones((3, 40, 40), np.uint8), matrix)
    cases = [CaseToWrite("a", volume), CaseToWrite("b", volume, subject="a"), CaseToWrite("c", volume, subject="c")]
    splits = {"train": ["a", "b"], "test": ["c"]}
    dataset = write_dataset(tmp_path / "study", name="study", cases=cases, splits=splits)
    assert [case.subject for case in dataset.cases] == ["a", "a", "c"]
    assert [person_of(case) for case in dataset.cases] == [("study", "a"), ("study", "a"), ("study", "c")]
    assert [path.name for path in sorted((dataset.folder / "images").iterdir())] == ["a.nrrd", "b.nrrd", "c.nrrd"]
    torn = {"train": ["a"], "test": ["b", "c"]}
    with pytest.raises(DatasetError, match="one person in more than one split: subject a"):
        write_dataset(tmp_path / "torn", name="torn", cases=cases, splits=torn)
    assert not (tmp_path / "torn").exists()


@pytest.mark.parametrize("patient", ["../escape", "", "a/b", ".hidden"])
def test_a_patient_name_that_is_no_file_name_is_refused(tmp_path, patient):
    matrix = np.array([[0, 0, -4.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]])
    volume = SagittalVolume.from_stored(np.ones((3, 40, 40), np.uint8), matrix)
    with pytest.raises(DatasetError):
        write_dataset(tmp_path / "s", name="s", cases=[CaseToWrite(patient, volume)], splits={"train": [patient]})
    assert list(tmp_path.iterdir()) == []


def run(*arguments: str) -> int:
    return main(["dataset", *arguments])


def test_the_command_imports_and_verifies_and_answers_with_an_exit_code(source, tmp_path, capsys):
    folder = str(tmp_path / "imported")
    assert run("import", str(source), folder) == 0
    printed = capsys.readouterr().out
    assert "clinic: 4 patients" in printed and "Patient c3" in printed and "levels not trusted" in printed
    assert run("verify", folder) == 0
    (tmp_path / "imported" / "masks" / "a1.nrrd").write_bytes(b"")
    assert run("verify", folder) == 1
    assert "masks/a1.nrrd has been changed" in capsys.readouterr().err
    shutil.rmtree(source)
    assert run("import", str(source), str(tmp_path / "again")) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_real_patients_keep_their_frozen_split_and_get_levels(tmp_path, shared_data):
    some = tmp_path / "spider_space"
    some.mkdir()
    rows = (shared_data / "spider_space" / "grades.csv").read_text().splitlines()
    (some / "grades.csv").write_text("\n".join(row for row in rows if row.split(",")[0] in ("patient", "034", "118")))
    for patient in ("034", "118"):
        for ending in ("t2", "labels"):
            shutil.copy(shared_data / "spider_space" / f"{patient}_{ending}.nrrd", some)
    dataset = import_folder(some, tmp_path / "imported")
    intact, doubtful = dataset.cases
    assert (intact.split, doubtful.split) == ("test", "train")
    assert intact.levels_trusted and set(intact.grades) == {
        level for level, value in DISC_LABELS.items() if (intact.mask() == value).any()
    }
    assert not doubtful.levels_trusted  # seven masks, eight grades: none may be made up by cutting a disc in two
    assert "CC BY 4.0" in dataset.manifest["licence"] and "SPIDER" in dataset.manifest["attribution"]
