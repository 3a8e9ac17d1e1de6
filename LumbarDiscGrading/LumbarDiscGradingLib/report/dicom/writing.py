"""Writing a result as DICOM: a Segmentation with a segment a disc, and a report by TID 1500 that points to it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

from ...grading.result import GradingResult
from .coding import DicomOutputError, require_highdicom
from .segmentation import segmentation_of
from .source_images import masks_on_images, source_images
from .structured_report import structured_report_of


def write_dicom(result: GradingResult, segmentation_path: Path, report_path: Path) -> None:
    """Write the Segmentation and the report of a result, with patient and study of its images.

    Raises
    ------
    DicomOutputError
        If the volume was not read from DICOM, highdicom is not installed, or it cannot make objects of these images.
    """
    require_highdicom()
    files = result.volume.source.dicom_files
    if not files or not result.discs:
        raise DicomOutputError("There is nothing to write as DICOM: the volume is no DICOM, or no disc was found.")
    images = source_images(files, result.volume.spacing_mm[0])
    planes = masks_on_images(result.volume.canonical(result.label_volume()), result.volume, files, images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of pydicom and highdicom quote values
        try:
            segmentation, report = _objects(result, images, planes)
            for dataset, path in ((segmentation, segmentation_path), (report, report_path)):
                if "SpecificCharacterSet" in images[0]:
                    dataset.SpecificCharacterSet = images[0].SpecificCharacterSet
                dataset.save_as(path, enforce_file_format=True)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # of an odd header highdicom and pydicom raise nearly anything
            raise DicomOutputError(_complaint(error)) from error


def _objects(result: GradingResult, images: Any, planes: Any) -> tuple[Any, Any]:
    import highdicom as hd

    uids = {disc.level: hd.UID() for disc in result.discs}
    segmentation = segmentation_of(result, images, planes, uids)
    return segmentation, structured_report_of(result, images, segmentation, uids)


def _complaint(error: Exception) -> str:
    """Say what highdicom stumbled over: the attributes that its message names, never their values."""
    words = dict.fromkeys(re.findall(r"[A-Z]\w+", str(error)))
    named = [word for word in words if tag_for_keyword(word) is not None]
    what = f"the attribute {' or '.join(named)}" if named else type(error).__name__
    return f"No DICOM can be made of these images, whose header highdicom does not accept ({what}); send them again."
