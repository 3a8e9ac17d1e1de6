"""What files and folders hold that can be graded: DICOM studies by their headers, volume files by their names."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..dataset.importing import VOLUME_SUFFIXES
from ..imaging.dicom import DICOM_MAGIC, DICOM_SUFFIXES, PREAMBLE_BYTES, SKIPPED_NAMES, header_of
from ..imaging.dicom_frames import person_of
from ..imaging.dicom_study.people import Person, numbered_studies
from ..imaging.reading import PICTURE_SUFFIXES, stem_of
from .journal import JOURNAL_FOLDER
from .tables import THUMBNAILS_FOLDER

OWN_ENDINGS = ("_discs.seg.nrrd", "_evidence.nrrd", "_overview.png", "_evidence.png", "_seg.dcm", "_report.dcm")
OWN_FOLDERS = (JOURNAL_FOLDER, THUMBNAILS_FOLDER)
LABEL_ENDINGS = ("_labels", "_label", "-label", "_seg", ".seg", "_mask", "_masks", "_segmentation")
"""How the names of volume files end, before their suffix, that hold labels and no image."""

OWN_OUTPUT = "It is an output of an earlier grading, not an image to grade."
LABEL_MAP = "By its name it is a label map, not an image; name the file itself to have it graded."
PICTURE = "It is a picture; pictures are graded only where they are named, on the command line or in a list."
NO_DICOM_IMAGE = "It is named like a DICOM file but holds no DICOM image."
DICOM_LABELS = "It is a DICOM segmentation, not an image to grade."
MAY_NOT_BE_READ = "It may not be read ({reason}); ask for permission to read it, or copy it."

_OTHER = (
    "txt csv tsv json jsonl xml html htm pdf md rst log doc docx xls xlsx ppt pptx odt ods rtf py pyc ipynb r m sh bat "
    "js css c h cpp java ini cfg toml yaml yml db sqlite lock bak tmp zip gz bz2 xz tar tgz 7z rar exe dll so pyd whl "
    "npy npz mat h5 hdf5 pkl pt pth onnx safetensors parquet gif svg webp mp4 avi mov mp3 wav stl obj vtk vtp mrb mrml "
    "bval bvec"
)
OTHER_SUFFIXES = frozenset(f".{name}" for name in _OTHER.split())
"""Suffixes of files that are no images and are not opened."""

MAC_SHADOW = "._"
"""Before the name of a file: what macOS keeps of it on disks that are not its own."""
RAW_DICOM_STARTS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
"""First bytes of a DICOM data set without preamble: the number of the group that comes first, in either byte order."""


@dataclass(frozen=True)
class Candidate:
    """One input that can be graded, not yet named.

    Attributes
    ----------
    path : str
        Absolute path of the file or DICOM folder.
    stem : str
        What it is to be called where nothing else is called so.
    folders : tuple of str
        Names of the folders in which it was found, the nearest first, for telling it apart from others.
    files : tuple of str
        DICOM files of the study where its folder holds those of others too.
    """

    path: str
    stem: str
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass
class Found:
    """What was found.

    Attributes
    ----------
    candidates : list of Candidate
        In the order of the inputs, then of their paths.
    skipped : list of tuple
        Candidate that is not to be graded, and why.
    others : int
        Count of the files that are plainly no images.
    """

    candidates: list[Candidate] = field(default_factory=list)
    skipped: list[tuple[Candidate, str]] = field(default_factory=list)
    others: int = 0


def find_candidates(
    inputs: Sequence[str], output: Path | None = None, watch: Callable[[int], None] = lambda count: None
) -> Found:
    """Find what can be graded in files and folders, at any depth.

    Files are taken as they are. In a folder the DICOM images are put together by patient and study, from their headers;
    volume files are told by their names. A file that is plainly no image by its name is not opened. Linked folders are
    searched too, each once.

    Parameters
    ----------
    inputs : sequence of str
        Volume files, pictures, DICOM files, and folders.
    output : Path, optional
        Folder that is left out.
    watch : callable
        Called now and then with the count of files that were seen.
    """
    found = Found()
    for given in dict.fromkeys(os.path.abspath(path) for path in inputs):
        if os.path.isdir(given):
            _search(given, output, found, watch)
        else:
            found.candidates.append(Candidate(given, stem_of(given), _folders_above(given)))
    found.candidates = list({(one.path, one.files): one for one in reversed(found.candidates)}.values())[::-1]
    return found


def _search(root: str, output: Path | None, found: Found, watch: Callable[[int], None]) -> None:
    """Add what a folder holds; one with a single DICOM study or no scan stands for itself, to be read or refused."""
    volumes, images, count = [], [], 0
    people: dict[Person, Person] = {}
    left_out = None if output is None else _identity(str(output))
    beside = left_out == _identity(root)  # results lie beside their images
    for path in _files_below(root, None if beside else left_out, found):
        count += 1
        if count % 1000 == 0:
            watch(count)
        name = os.path.basename(path)
        why = _why_not_taken(name)
        if name.startswith(MAC_SHADOW) or (beside and why == OWN_OUTPUT):
            found.others += 1
        elif why:
            _skip(path, root, why, found)
        elif name.lower().endswith(VOLUME_SUFFIXES):
            volumes.append(path)
        elif isinstance(seen := _person_on(path), Person):
            images.append((people.setdefault(seen, seen), path))  # one object for all images of a person
        elif seen:
            _skip(path, root, seen, found)
        else:
            found.others += 1
    watch(count)
    studies = _studies(images, root)
    alone = not volumes and len(studies) == 1 and not studies[0].files
    if alone or not (volumes or studies):
        found.candidates.append(Candidate(root, stem_of(root), _folders_above(root)))
        return
    found.candidates += [Candidate(path, stem_of(path), _folders_between(path, root)) for path in sorted(volumes)]
    found.candidates += studies


def _files_below(root: str, left_out: tuple[int, int] | None, found: Found) -> Iterator[str]:
    """Yield the files in a folder and its subfolders but one, each folder once whatever links lead to it."""
    folders, seen = [root], set()
    while folders:
        folder = folders.pop()
        try:
            identity = _identity(folder)
            if identity in seen or identity == left_out:
                continue
            seen.add(identity)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name in OWN_FOLDERS:
                        continue
                    if _leads_to(entry.is_dir):
                        folders.append(entry.path)
                    elif _leads_to(entry.is_file):
                        yield entry.path
        except OSError as error:
            _skip(folder, root, MAY_NOT_BE_READ.format(reason=error.strerror), found)


def _leads_to(is_kind: Callable[[], bool]) -> bool:
    try:
        return is_kind()
    except OSError:  # a link that leads to itself
        return False


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _why_not_taken(name: str) -> str:
    """Say by its name why a file is not taken for an image; empty where it may be one."""
    lower = name.lower()
    if lower.endswith(OWN_ENDINGS):
        return OWN_OUTPUT
    if lower.endswith(PICTURE_SUFFIXES):
        return PICTURE
    suffix = next((suffix for suffix in VOLUME_SUFFIXES if lower.endswith(suffix)), None)
    return LABEL_MAP if suffix and lower[: -len(suffix)].endswith(LABEL_ENDINGS) else ""


def _person_on(path: str) -> Person | str:
    """Return who is shown on a DICOM image, or why a file is not taken for one: empty where nothing promised one."""
    name, suffix = os.path.basename(path), os.path.splitext(path)[1].lower()
    if suffix in OTHER_SUFFIXES or name.upper() in SKIPPED_NAMES:
        return ""
    try:
        with open(path, "rb") as file:
            start = file.read(PREAMBLE_BYTES + len(DICOM_MAGIC))
    except OSError as error:
        return MAY_NOT_BE_READ.format(reason=error.strerror)
    has_preamble = start[PREAMBLE_BYTES:] == DICOM_MAGIC
    may_lack_preamble = suffix in DICOM_SUFFIXES or not suffix or suffix[1:].isdigit()  # names are often UIDs
    header = None
    if has_preamble or (may_lack_preamble and start.startswith(RAW_DICOM_STARTS)):
        header = header_of(Path(path), up_to_size=True)
    if header is None:
        return NO_DICOM_IMAGE if suffix in DICOM_SUFFIXES else ""
    return DICOM_LABELS if header.get("Modality") == "SEG" else person_of(header)


def _studies(images: list[tuple[Person, str]], root: str) -> list[Candidate]:
    """Return each study among some DICOM images, by the folder that holds it."""
    images.sort(key=lambda image: image[1])
    people, paths = [person for person, _ in images], [path for _, path in images]
    members: dict[int, list[int]] = {}
    for index, number in enumerate(numbered_studies(people, [os.path.dirname(path) for path in paths])):
        members.setdefault(number, []).append(index)
    parents = [{os.path.dirname(paths[index]) for index in of_one} for of_one in members.values()]
    below = Counter(
        folder for of_one in parents for folder in {above for parent in of_one for above in _upwards(parent, root)}
    )
    found = []
    for folder, of_one in zip(map(os.path.commonpath, parents), members.values(), strict=True):
        stem = _pseudonym(people[of_one[0]], paths[of_one[0]], root)
        files = () if below[folder] == 1 else tuple(paths[index] for index in of_one)
        found.append(Candidate(folder, stem, (), files))
    return found


def _pseudonym(person: Person, path: str, root: str) -> str:
    """Name a study by what stays when others come and go, so that nobody reads from it who is shown."""
    source = person.study_uid or os.path.relpath(os.path.dirname(path), root)
    return f"study-{hashlib.sha256(os.fsencode(source)).hexdigest()[:12]}"


def _skip(path: str, root: str, why: str, found: Found) -> None:
    found.skipped.append((Candidate(path, os.path.basename(path), _folders_between(path, root)), why))


def _upwards(folder: str, root: str) -> Iterator[str]:
    while True:
        yield folder
        if len(folder) <= len(root):
            return
        folder = os.path.dirname(folder)


def _folders_between(path: str, root: str) -> tuple[str, ...]:
    """Return the names of the folders from that of a file up to the one that was searched."""
    return tuple(os.path.basename(folder) for folder in _upwards(os.path.dirname(path), root))


def _folders_above(path: str) -> tuple[str, ...]:
    return tuple(reversed(Path(path).parent.parts[1:]))
