"""The masks of a result as a DICOM Segmentation: a segment a disc."""

from __future__ import annotations

from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from ... import __version__
from ...grading.corrections import mask_by_reader, mask_with_reader
from ...grading.result import DiscGrade, GradingResult
from ...pfirrmann import ANATOMICAL_STRUCTURE, INTERVERTEBRAL_DISC
from . import terms
from .coding import MANUFACTURER, NAME, code, model_hashes, new_object

SERIES_NUMBER = 9001
"""Above the numbers that scanners give."""


def segmentation_of(
    result: GradingResult, images: list[pydicom.Dataset], planes: NDArray[np.uint8], uids: dict[str, Any]
) -> Any:
    """Return the Segmentation of a result.

    Parameters
    ----------
    result : GradingResult
    images : list of pydicom.Dataset
        From `source_images`.
    planes : ndarray of uint8, shape (frames, rows, columns)
        Labels of the discs, from `masks_on_images`.
    uids : dict
        Tracking UID by level.
    """
    import highdicom as hd

    masks = np.stack([planes == disc.label_value for disc in result.discs], axis=-1)
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=masks.astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(result, disc, number, uids[disc.level]) for number, disc in enumerate(result.discs, start=1)
        ],
        **new_object(SERIES_NUMBER),
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number=__version__,
        pixel_measures=_pixel_measures(result, images[0]),
        content_label="DISCS",
        series_description="Lumbar discs by level (research use only)",
    )


def _segment(result: GradingResult, disc: DiscGrade, number: int, uid: Any) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    kinds = hd.seg.SegmentAlgorithmTypeValues
    kind = kinds.AUTOMATIC
    if mask_with_reader(disc):
        kind = kinds.MANUAL if mask_by_reader(disc) else kinds.SEMIAUTOMATIC
    algorithm = hd.AlgorithmIdentificationSequence(
        name=NAME,
        family=codes.DCM.ArtificialIntelligence,
        version=__version__,
        source=MANUFACTURER,
        parameters=model_hashes(result) or None,
    )
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=disc.level,
        segmented_property_category=code(ANATOMICAL_STRUCTURE),
        segmented_property_type=code(INTERVERTEBRAL_DISC),
        algorithm_type=kind,
        algorithm_identification=None if kind is kinds.MANUAL else algorithm,
        tracking_uid=uid,
        tracking_id=f"{disc.level} disc",
        anatomic_regions=[code(terms.site_of(disc.level))],
        display_color=hd.color.CIELabColor.from_rgb(*disc.color),
    )


def _pixel_measures(result: GradingResult, image: pydicom.Dataset) -> Any:
    import highdicom as hd

    if "PixelSpacing" not in image:  # an enhanced image has its own, by frame
        return None
    return hd.PixelMeasuresSequence(
        pixel_spacing=[float(value) for value in image.PixelSpacing],
        slice_thickness=float(image.SliceThickness),
        spacing_between_slices=result.volume.spacing_mm[0],
    )
