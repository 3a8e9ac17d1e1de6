"""The grades of a result as a Comprehensive 3D Structured Report by TID 1500: a measurement group a disc."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pydicom

from ... import __version__
from ...grading.result import DiscGrade, GradingResult
from ...pfirrmann import GROUPS, INTERVERTEBRAL_DISC, CodedTerm
from ..text import model_names, reader_verdict, report_text
from . import terms
from .coding import MANUFACTURER, NAME, code, model_hashes, new_object

SERIES_NUMBER = 9002
"""Above the numbers that scanners give."""


def structured_report_of(
    result: GradingResult, images: list[pydicom.Dataset], segmentation: Any, uids: dict[str, Any]
) -> Any:
    """Return the report of a result.

    Parameters
    ----------
    result : GradingResult
    images : list of pydicom.Dataset
        From `source_images`.
    segmentation : highdicom.seg.Segmentation
        To whose segments the groups point.
    uids : dict
        Tracking UID by level.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    device = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=device_uid(result),
            name=NAME,
            manufacturer_name=MANUFACTURER,
            model_name=NAME,
            serial_number=__version__,
        ),
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=_procedures(images[0]),
        imaging_measurements=[
            _group(result, disc, images, number, segmentation, uids[disc.level])
            for number, disc in enumerate(result.discs, start=1)
        ],
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=None if "NumberOfFrames" in images[0] else images,  # highdicom describes single frames alone
    )
    content[0].ContentSequence.append(_text(report_text(result)))
    return hd.sr.Comprehensive3DSR(
        evidence=[segmentation, *images],
        content=content[0],
        **new_object(SERIES_NUMBER),
        is_complete=True,
        series_description="Lumbar disc grades (research use only)",
    )


def device_uid(result: GradingResult) -> str:
    """Return the UID of what graded: the same for the same version of the program with the same models."""
    parts = [NAME, __version__, *sorted(model.sha256 for model in result.models)]
    return f"2.25.{uuid5(NAMESPACE_URL, ' '.join(parts)).int}"


def _procedures(image: pydicom.Dataset) -> list[Any]:
    """Return the procedure that the images say they are of; what MRI is in general where they say none."""
    stated = [
        CodedTerm(item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning)
        for item in image.get("ProcedureCodeSequence") or ()
        if item.get("CodingSchemeDesignator") and item.get("CodeValue") and item.get("CodeMeaning")
    ]
    return [code(term) for term in stated or [terms.MR_PROCEDURE]]


def _group(
    result: GradingResult, disc: DiscGrade, images: list[pydicom.Dataset], number: int, segmentation: Any, uid: Any
) -> Any:
    import highdicom as hd

    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=uid, identifier=f"{disc.level} disc"),
        referenced_segment=_reference(segmentation, number, images[0]),
        finding_type=code(INTERVERTEBRAL_DISC),
        finding_sites=[hd.sr.FindingSite(code(terms.site_of(disc.level)))],
        algorithm_id=hd.sr.AlgorithmIdentification(
            name=", ".join(model_names(result)) or NAME,
            version=__version__,
            parameters=[f"{name} {value}" for name, value in model_hashes(result).items()] or None,
        ),
        measurements=[
            hd.sr.Measurement(name=code(name), value=round(float(value), 4), unit=code(unit))
            for name, value, unit in _numbers(disc)
            if value is not None and np.isfinite(value)
        ],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(code(name), code(value)) for name, value in _evaluations(disc)
        ],
    )
    for remark in (*disc.changes, *disc.warnings):
        group[0].ContentSequence.append(_text(remark))
    return group


def _evaluations(disc: DiscGrade) -> list[tuple[CodedTerm, CodedTerm]]:
    author = terms.AUTHOR, terms.READER if reader_verdict(disc) else terms.DEVICE
    if not disc.assessable:
        return [(terms.PFIRRMANN, terms.NOT_ASSESSABLE), author]
    return [
        (terms.PFIRRMANN, terms.grade_term(disc.pfirrmann)),
        *((terms.PFIRRMANN_SET, terms.grade_term(grade)) for grade in disc.grade_set),
        (terms.GROUP, terms.group_term(disc.group)),
        author,
    ]


def _numbers(disc: DiscGrade) -> list[tuple[CodedTerm, float | None, CodedTerm]]:
    m = disc.measurements
    return [
        (terms.HEIGHT, m.height_mm, terms.MILLIMETER),
        (terms.DIAMETER, m.diameter_mm, terms.MILLIMETER),
        (terms.AREA, m.area_mm2, terms.SQUARE_MILLIMETER),
        (terms.DISC_HEIGHT_INDEX, m.disc_height_index, terms.RATIO),
        (terms.SIGNAL_TO_CANAL, m.signal_to_canal, terms.RATIO),
        *(
            (terms.probability_term(group), p, terms.NO_UNITS)
            for group, p in zip(GROUPS, disc.group_probabilities, strict=True)
            if disc.assessable
        ),
    ]


def _reference(segmentation: Any, number: int, image: pydicom.Dataset) -> Any:
    import highdicom as hd

    reference = hd.sr.ReferencedSegmentationFrame.from_segmentation(segmentation, segment_number=number)
    for item in reference:
        referenced = item.ReferencedSOPSequence[0]
        is_segment, has_frames = "ReferencedSegmentNumber" in referenced, "NumberOfFrames" in image
        if "ReferencedFrameNumber" in referenced and (is_segment or not has_frames):
            del referenced.ReferencedFrameNumber  # not beside a segment, nor of an image without frames
    return reference


def _text(value: str) -> Any:
    import highdicom as hd

    return hd.sr.TextContentItem(
        name=code(terms.COMMENT), value=value, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
    )
