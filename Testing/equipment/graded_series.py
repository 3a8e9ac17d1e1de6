"""Results on small made DICOM series, to write DICOM of; and segmentations of such series as other programs write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from dicom_files import Series, write_enhanced, write_series
from example_results import analytic_result

from LumbarDiscGradingLib.grading.result import GradingResult
from LumbarDiscGradingLib.imaging.reading import read_volume

STUDY = {"StudyInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5", "ScanningSequence": "SE"}
STUDY |= {"SequenceVariant": "SK", "ScanOptions": "", "MRAcquisitionType": "2D", "EchoTrainLength": 1}


def result_on_series(folder: Path, turned_degrees: float = 0.0, **attributes: object) -> GradingResult:
    """Return the analytic result on a series of its voxels that was written and read."""
    made = analytic_result(oblique_degrees=turned_degrees)
    volume = made.volume
    voxels = np.clip(volume.voxels, 0, 60000).astype(np.uint16)
    spacing, origin = volume.spacing_mm, tuple(volume.index_to_lps[:3, 3])
    directions = volume.index_to_lps[:3, :3] / np.array(spacing)
    orientation = tuple(np.round([*directions[:, 2], *directions[:, 1]], 6))
    normal = np.cross(orientation[:3], orientation[3:])  # to the patient's right: slices are written from the left
    assert np.allclose(normal, -directions[:, 0], atol=1e-5)
    origin = tuple(np.array(origin) + volume.index_to_lps[:3, 0] * (len(voxels) - 1))
    series = Series(voxels[::-1], orientation, origin, spacing)
    write_series(folder, series, **{**STUDY, **attributes})
    return replace(made, volume=read_volume(folder))


def result_on_enhanced(folder: Path) -> GradingResult:
    """Return the analytic result on its series as one enhanced multi-frame image, its frames out of order."""
    plain = result_on_series(folder / "plain")
    files = plain.volume.source.dicom_files
    images = [pydicom.dcmread(path) for path in files]
    series = Series(
        np.stack([image.pixel_array for image in images]),
        tuple(images[0].ImageOrientationPatient),
        tuple(images[0].ImagePositionPatient),
        (4.0, *images[0].PixelSpacing),
        attributes=STUDY | {"RepetitionTime": 3500.0, "EchoTime": 100.0},
    )
    assert np.allclose(images[1].ImagePositionPatient, np.array(series.origin_lps) + 4.0 * series.normal)
    path = write_enhanced(folder / "enhanced" / "image.dcm", series, [2, 0, 4, 1, 3])
    image = pydicom.dcmread(path)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedMRImageStorage
    image.save_as(path)
    return replace(plain, volume=read_volume(path.parent))


def _complete(image: pydicom.Dataset) -> pydicom.Dataset:
    """Add what highdicom demands and a made image lacks."""
    for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
        image.setdefault(keyword, "")
    image.setdefault("ReferringPhysicianName", "")
    return image


def write_foreign_segmentation(
    path: Path,
    images: Sequence[Path],
    segments: Sequence[tuple[str, tuple[str, str, str]]],
    masks: np.ndarray,
    kind: str = "BINARY",
    empty_frames: bool = False,
) -> Path:
    """Write a DICOM Segmentation of a series as a program that knows nothing of this one may.

    Parameters
    ----------
    segments : sequence of tuple
        Label, and coding scheme, value and meaning of the property.
    masks : ndarray of uint8, shape (images, rows, columns, segments)
        In the order of the images.
    """
    import highdicom as hd

    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=hd.sr.CodedConcept("123037004", "SCT", "Anatomical Structure"),
            segmented_property_type=hd.sr.CodedConcept(value, scheme, meaning),
            algorithm_type="MANUAL",
        )
        for number, (label, (scheme, value, meaning)) in enumerate(segments, start=1)
    ]
    segmentation = hd.seg.Segmentation(
        source_images=[_complete(pydicom.dcmread(image)) for image in images],
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=300,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Somebody",
        manufacturer_model_name="Something",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=not empty_frames,
    )
    segmentation.save_as(path)
    return path
