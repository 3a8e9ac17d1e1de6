"""Writing a result as DICOM: a Segmentation with a segment a disc, and a report by TID 1500 that points to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from ... import __version__
from ...grading.result import DiscGrade, GradingResult
from ...pfirrmann import GROUPS, INTERVERTEBRAL_DISC, CodedTerm
from ..text import model_names, reader_verdict, report_text
from . import terms
from .source_images import DicomOutputError, masks_on_images, source_images

MANUFACTURER = "LumbarDiscGrading contributors"
NAME = "LumbarDiscGrading"
SEGMENTATION_SERIES, REPORT_SERIES = 9001, 9002
"""Series numbers of what is added to a study, above those that scanners give."""


def write_dicom(result: GradingResult, segmentation_path: Path, report_path: Path) -> None:
    """Write the Segmentation and the report of a result, with patient and study of its images.

    Raises
    ------
    DicomOutputError
        If the volume was not read from DICOM, its images lack an attribute, or highdicom is not installed.
    """
    try:
        import highdicom as hd
    except ImportError:
        raise DicomOutputError("Writing DICOM needs highdicom; install it (pip install highdicom).") from None
    files = result.volume.source.dicom_files
    if not files or not result.discs:
        raise DicomOutputError("There is nothing to write as DICOM: the volume is no DICOM, or no disc was found.")
    images = source_images(files, result.volume.spacing_mm[0])
    labels = result.volume.canonical(result.label_volume())
    planes = masks_on_images(labels, result.volume, files, images)
    uids = {disc.level: hd.UID() for disc in result.discs}
    segmentation = _segmentation(result, images, planes, uids)
    report = _report(result, images, segmentation, uids)
    for dataset, path in ((segmentation, segmentation_path), (report, report_path)):
        if "SpecificCharacterSet" in images[0]:
            dataset.SpecificCharacterSet = images[0].SpecificCharacterSet
        dataset.save_as(path, enforce_file_format=True)


def _code(term: CodedTerm) -> Any:
    from highdicom.sr import CodedConcept

    scheme, value, meaning = term
    return CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


def _hashes(result: GradingResult) -> dict[str, str]:
    return {f"{model.task} sha256": model.sha256 for model in result.models}


def _segmentation(result: GradingResult, images: list[pydicom.Dataset], planes: Any, uids: dict[str, Any]) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    algorithm = hd.AlgorithmIdentificationSequence(
        name=NAME,
        family=codes.DCM.ArtificialIntelligence,
        version=__version__,
        source=MANUFACTURER,
        parameters=_hashes(result) or None,
    )
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=disc.level,
            segmented_property_category=_code(terms.BODY_STRUCTURE),
            segmented_property_type=_code(INTERVERTEBRAL_DISC),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=uids[disc.level],
            tracking_id=f"{disc.level} disc",
            anatomic_regions=[_code(terms.site_of(disc.level))],
            display_color=hd.color.CIELabColor.from_rgb(*disc.color),
        )
        for number, disc in enumerate(result.discs, start=1)
    ]
    masks = np.stack([planes == disc.label_value for disc in result.discs], axis=-1)
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=masks.astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        **_new_object(SEGMENTATION_SERIES),
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number=__version__,
        pixel_measures=_pixel_measures(result, images[0]),
        content_label="DISCS",
        series_description="Lumbar discs by level (research use only)",
    )


def _new_object(series_number: int) -> dict[str, Any]:
    """Return what tells an object, alone in a series of its own, from all others."""
    import highdicom as hd

    return {
        "series_instance_uid": hd.UID(),
        "series_number": series_number,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
    }


def _pixel_measures(result: GradingResult, image: pydicom.Dataset) -> Any:
    import highdicom as hd

    if "PixelSpacing" not in image:  # an enhanced image has its own, by frame
        return None
    distance_mm = result.volume.spacing_mm[0]
    return hd.PixelMeasuresSequence(
        pixel_spacing=[float(value) for value in image.PixelSpacing],
        slice_thickness=float(image.SliceThickness),
        spacing_between_slices=distance_mm,
    )


def _report(result: GradingResult, images: list[pydicom.Dataset], segmentation: Any, uids: dict[str, Any]) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    device = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=hd.UID(), name=NAME, manufacturer_name=MANUFACTURER, model_name=NAME, serial_number=__version__
        ),
    )
    groups = [
        _group(result, disc, images, number, segmentation, uids[disc.level])
        for number, disc in enumerate(result.discs, start=1)
    ]
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=_code(terms.MR_SPINE),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=images,
    )
    content[0].ContentSequence.append(_text(report_text(result)))
    return hd.sr.Comprehensive3DSR(
        evidence=[segmentation, *images],
        content=content[0],
        **_new_object(REPORT_SERIES),
        is_complete=True,
        series_description="Lumbar disc grades (research use only)",
    )


def _group(
    result: GradingResult, disc: DiscGrade, images: list[pydicom.Dataset], number: int, segmentation: Any, uid: Any
) -> Any:
    import highdicom as hd

    evaluations = []
    if disc.assessable:
        evaluations = [
            (terms.PFIRRMANN, terms.grade_term(disc.pfirrmann)),
            (terms.GROUP, terms.group_term(disc.group)),
            (terms.AUTHOR, terms.READER if reader_verdict(disc) else terms.DEVICE),
        ]
    reference = hd.sr.ReferencedSegmentationFrame.from_segmentation(segmentation, segment_number=number)
    for item in reference:
        referenced = item.ReferencedSOPSequence[0]
        is_segment, has_frames = "ReferencedSegmentNumber" in referenced, "NumberOfFrames" in images[0]
        if "ReferencedFrameNumber" in referenced and (is_segment or not has_frames):
            del referenced.ReferencedFrameNumber  # not beside a segment, nor of an image without frames
    m = disc.measurements
    numbers: list[tuple[CodedTerm, float | None, CodedTerm]] = [
        (terms.HEIGHT, m.height_mm, terms.MILLIMETER),
        (terms.DIAMETER, m.diameter_mm, terms.MILLIMETER),
        (terms.AREA, m.area_mm2, terms.SQUARE_MILLIMETER),
        (terms.DISC_HEIGHT_INDEX, m.disc_height_index, terms.RATIO),
        (terms.SIGNAL_TO_CANAL, m.signal_to_canal, terms.RATIO),
    ]
    numbers += [
        (terms.probability_term(group), p, terms.NO_UNITS)
        for group, p in zip(GROUPS, disc.group_probabilities, strict=True)
    ]
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=uid, identifier=f"{disc.level} disc"),
        referenced_segment=reference,
        finding_type=_code(INTERVERTEBRAL_DISC),
        finding_sites=[hd.sr.FindingSite(_code(terms.site_of(disc.level)))],
        algorithm_id=hd.sr.AlgorithmIdentification(
            name=", ".join(model_names(result)) or NAME,
            version=__version__,
            parameters=[f"{name} {value}" for name, value in _hashes(result).items()] or None,
        ),
        measurements=[
            hd.sr.Measurement(name=_code(name), value=round(float(value), 4), unit=_code(unit))
            for name, value, unit in numbers
            if value is not None and np.isfinite(value)
        ],
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(_code(name), _code(value)) for name, value in evaluations],
    )
    for remark in (*disc.changes, *disc.warnings):
        group[0].ContentSequence.append(_text(remark))
    return group


def _text(value: str) -> Any:
    import highdicom as hd

    return hd.sr.TextContentItem(
        name=_code(terms.COMMENT), value=value, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
    )
