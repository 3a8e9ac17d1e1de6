"""How an MR image was acquired as its header or its name tells, what contrast that gives, and what is doubtful in it.

Command line and panel judge by the same functions: the one with headers read from files, the other with those of the
DICOM database, or with the name alone where there is no header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

T2_MIN_ECHO_TIME_MS = 50.0
T1_MAX_REPETITION_TIME_MS = 1000.0
"""Spin-echo contrast by its times: T2 needs a long echo time and a long repetition time, T1 has both short."""

MYELOGRAPHIC_ECHO_TIME_MS = 250.0
"""From this echo time on little but fluid is seen; such a series is taken only when there is no other."""

STIR_INVERSION_TIMES_MS = (80.0, 300.0)
"""Inversion times at which the signal of fat is nulled, from 0.5 to 3 T."""

MIN_STACK_SLICES = 5
"""Stacks with fewer slices are taken only when there is no fuller one: they are mostly localizers."""

LOCALIZER_MAX_SLICES, LOCALIZER_MIN_DISTANCE_MM = 5, 6.0
"""Few slices so far apart are those of a localizer: the distance in diagnostic sagittal series is 3 to 5.5 mm."""

REFORMATTED_KINDS = ("MPR", "COMPOSED")
"""Computed from acquired slices that keep their contrast: taken where there is nothing else, with a doubt."""
COMPUTED_KINDS = ("PROJECTION IMAGE", "MIP", "MIN IP", "SUBTRACTION", "ADC", "SECONDARY CAPTURE")
DIXON_EXCLUDED_KINDS = ("FAT", "F", "OPP_PHASE", "OUT_PHASE", "OUT_OF_PHASE", "OPPOSED_PHASE", "OP")
IN_PHASE_KINDS = ("IN_PHASE", "IP")
WATER_KINDS = ("WATER", "W")
"""Components of a Dixon acquisition as ImageType names them."""
MAGNITUDE_EXCLUDES = ("P", "PHASE", "R", "REAL", "I", "IMAGINARY")
FAT_SUPPRESSION_OPTIONS = ("FS", "SFS", "FATSAT", "FAT_SAT")
"""Scan options (0018,0022) of fat suppression; SP is none of them, but spatial presaturation in front of the spine."""

# Words in the labels of a series, which are in lower case; neither digit nor underscore makes a letter part of a word.
LOCALIZER_WORDS = re.compile(
    r"locali[sz]|survey|scout(?!\d)|(?<![a-z])(loc|3-?plane|3-?pl|scanogram|mobiview)(?![a-z])"
)
FAT_SUPPRESSION_WORDS = re.compile(
    r"stir|tirm|spair|(?<![a-z])spir|dixon|fatsat|ideal|(?<![a-z])(fs|fsat|fat[ _-]?sat|water|wfs)(?![a-z])"
)
DIFFUSION_WORDS = re.compile(r"dwi|diffusion|(?<![a-z])adc(?![a-z])|trace|ep_b|ep2d")
IN_PHASE_WORDS = re.compile(r"(?<![a-z])in[ _-]?phase|(?<=dixon)[a-z0-9 _-]*[ _-](in|ip)(?![a-z])")
DIXON_EXCLUDED_WORDS = re.compile(
    r"(opp(osed)?|out([ _-]?of)?)[ _-]?phase|dixon[a-z0-9 _-]*[ _-](opp?|out|f|fat)(?![a-z])|"
    r"^fat:|(?<![a-z])fat[ _-]only"
)
FLAIR_WORDS = re.compile(r"flair")
_BEFORE_CONTRAST = r"(?:(?<![a-z])|(?<=sag)|(?<=cor)|(?<=ax)|(?<=tra)|(?<=se)|(?<=cube)|(?<=space)|(?<=vista))"
T2_WORDS = re.compile(_BEFORE_CONTRAST + r"t2(?!\d)")
OTHER_CONTRAST_WORDS = re.compile(_BEFORE_CONTRAST + r"(?:t1(?!\d)|pd)|proton|flair|(?<![a-z])ct(?![a-z])")
OTHER_REGION_WORDS = re.compile(
    r"cerv|thor|(?<![a-z])[ctd][ _-]?spine|(?<![a-z])(hws|bws)|brain|head|(?<![a-z])(neck|knee|shoulder)"
)
LUMBAR_WORDS = re.compile(r"lumb|lws|(?<![a-z])l-?s?[ _-]?spine")
OTHER_BODY_PARTS = re.compile(
    r"^(C|T|CT)-?_?SPINE$|HEAD|BRAIN|SKULL|NECK|CHEST|BREAST|HEART|KNEE|HIP|SHOULDER|ELBOW|WRIST|HAND|ANKLE|FOOT|LEG$|ARM$"
)

BY_CONTRAST = "contrast"
UNSUITABLE_BY = (
    "not MR",
    BY_CONTRAST,
    "fat suppression",
    "computed, not acquired",
    "positions repeat",
    "names another region",
    "myelographic echo time",
    "few slices",
    "derived images",
)
"""What makes an image less suitable, in a few words, in the order of `suitability`."""
LATER_BY = (
    "coarser pixels",
    "fewer slices",
    "higher series number",
    "later echo",
    "later acquisition",
    "later in time",
)
"""What decides between equally suitable images, in the order of `order_in_study`."""

NEEDS_T2 = "Pfirrmann grades need a T2-weighted image."
WITHOUT_FAT_SUPPRESSION = "the models were made for T2 without it."
LOAD_DIAGNOSTIC = "load the diagnostic sagittal T2 series."


class Contrast(str, Enum):
    """Contrast of an image as its header tells."""

    T2 = "T2"
    T2_FAT_SUPPRESSED = "T2 with fat suppression"
    T1 = "T1"
    OTHER = "other contrast"
    LOCALIZER = "localizer or computed images"
    UNKNOWN = "contrast not stated"


GRADED_CONTRASTS = (Contrast.T2, Contrast.T2_FAT_SUPPRESSED, Contrast.UNKNOWN)
"""What is taken for a T2-weighted image where nothing better is there, the best first."""


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """What a header tells of how an image was acquired; what it does not say is None or empty.

    Attributes
    ----------
    modality : str
        DICOM modality in upper case.
    study_uid : str
        Of the study to which the series belongs.
    samples : int
        Samples of each pixel; more than one is no acquired image.
    echo_time_ms, repetition_time_ms, inversion_time_ms : float or None
    diffusion_b_value : float or None
    echo_number : int or None
    image_type, scanning_sequence, scan_options, suppression : tuple of str
        In upper case.
    inversion_recovery : bool
    body_part, stated_contrast : str
        In upper case.
    labels : str
        Description, protocol and sequence name, in lower case.
    protocol : str
        The protocol name by itself, in lower case; some scanners have one for the whole exam.
    only_named : bool
        There is no header; the labels are the name of a file or a node.
    """

    modality: str = ""
    study_uid: str = ""
    series_number: int | None = None
    samples: int = 1
    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    inversion_time_ms: float | None = None
    echo_number: int | None = None
    suppression: tuple[str, ...] = ()
    inversion_recovery: bool = False
    stated_contrast: str = ""
    acquisition: int | None = None
    temporal_position: int | None = None
    diffusion_b_value: float | None = None
    image_type: tuple[str, ...] = ()
    scanning_sequence: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    body_part: str = ""
    labels: str = ""
    protocol: str = ""
    only_named: bool = False


def named_acquisition(name: str) -> Acquisition:
    """Return what the name of an image without a header tells."""
    return Acquisition(labels=name.lower(), only_named=True)


def contrast_of(acquisition: Acquisition) -> Contrast:
    """Return the contrast of an image from its sequence times, or where these are missing from its labels.

    T2 is an echo time of at least 50 ms with a repetition time of at least 1000 ms.
    """
    if acquisition.samples > 1 or is_localizer(acquisition) or _computed_kind(acquisition):
        return Contrast.LOCALIZER
    if (
        is_fat_or_opposed(acquisition)
        or _is_diffusion(acquisition)
        or not _is_magnitude(acquisition)
        or FLAIR_WORDS.search(acquisition.labels)
    ):
        return Contrast.OTHER
    echo_ms, repetition_ms = acquisition.echo_time_ms, acquisition.repetition_time_ms
    long_repetition = repetition_ms is None or repetition_ms >= T1_MAX_REPETITION_TIME_MS
    if echo_ms is None:
        if not (T2_WORDS.search(acquisition.labels) and long_repetition):
            known_other = OTHER_CONTRAST_WORDS.search(acquisition.labels) or not long_repetition
            return Contrast.OTHER if known_other else Contrast.UNKNOWN
    elif not long_repetition:
        return Contrast.T1 if echo_ms < T2_MIN_ECHO_TIME_MS else Contrast.OTHER
    elif echo_ms < T2_MIN_ECHO_TIME_MS:
        is_stir = _nulls_fat(acquisition) and FAT_SUPPRESSION_WORDS.search(acquisition.labels)
        return Contrast.T2_FAT_SUPPRESSED if is_stir else Contrast.OTHER
    return Contrast.T2_FAT_SUPPRESSED if is_fat_suppressed(acquisition) else Contrast.T2


def is_localizer(acquisition: Acquisition) -> bool:
    """Whether header or labels call the image a localizer."""
    return any("LOCALIZER" in kind for kind in acquisition.image_type) or bool(
        LOCALIZER_WORDS.search(acquisition.labels)
    )


def is_fat_or_opposed(acquisition: Acquisition) -> bool:
    """Whether the image is the fat or the opposed-phase component of a Dixon acquisition."""
    if any(kind in (*IN_PHASE_KINDS, *WATER_KINDS) for kind in acquisition.image_type[2:]):
        return False
    return any(kind in DIXON_EXCLUDED_KINDS for kind in acquisition.image_type[2:]) or bool(
        DIXON_EXCLUDED_WORDS.search(acquisition.labels)
    )


def is_fat_suppressed(acquisition: Acquisition) -> bool:
    """Whether the signal of fat is suppressed by inversion or saturation, as times, options or labels tell."""
    inversion_ms = acquisition.inversion_time_ms
    if any(kind in IN_PHASE_KINDS for kind in acquisition.image_type) or IN_PHASE_WORDS.search(acquisition.labels):
        return False
    return (
        any(kind in WATER_KINDS for kind in acquisition.image_type[2:])
        or bool(FAT_SUPPRESSION_WORDS.search(acquisition.labels))
        or any(option in FAT_SUPPRESSION_OPTIONS for option in acquisition.scan_options)
        or any("FAT" in kind for kind in acquisition.suppression)
        or (acquisition.inversion_recovery and inversion_ms is None)
        or (inversion_ms is not None and 0 < inversion_ms < STIR_INVERSION_TIMES_MS[1])
    )


def is_of_other_region(acquisition: Acquisition) -> bool:
    """Whether labels or body part name another region than the lumbar spine, and the labels do not name that too."""
    if LUMBAR_WORDS.search(acquisition.labels):
        return False
    return bool(OTHER_REGION_WORDS.search(acquisition.labels) or OTHER_BODY_PARTS.search(acquisition.body_part))


def lies_like_a_localizer(slice_count: int, slice_distance_mm: float) -> bool:
    """Whether slices are so few and so far apart as those of a localizer are."""
    return 1 < slice_count <= LOCALIZER_MAX_SLICES and slice_distance_mm >= LOCALIZER_MIN_DISTANCE_MM


def suitability(
    acquisition: Acquisition, slice_count: int, slice_distance_mm: float, has_repeated_positions: bool = False
) -> tuple[int | bool, ...]:
    """Return what makes a sagittal image more or less suitable to be graded; the smaller, the better.

    Each item is what `UNSUITABLE_BY` names at its place.
    """
    contrast = contrast_of(acquisition)
    if contrast not in GRADED_CONTRASTS:
        rank = len(GRADED_CONTRASTS) + 1
    elif lies_like_a_localizer(slice_count, slice_distance_mm):
        rank = len(GRADED_CONTRASTS)
    else:
        rank = GRADED_CONTRASTS.index(contrast)
    return (
        acquisition.modality not in ("MR", ""),
        rank,
        is_fat_suppressed(acquisition),
        bool(_reformatted_kind(acquisition)),
        has_repeated_positions,
        is_of_other_region(acquisition),
        (acquisition.echo_time_ms or 0) >= MYELOGRAPHIC_ECHO_TIME_MS,
        slice_count < MIN_STACK_SLICES,
        "DERIVED" in acquisition.image_type,
    )


def order_in_study(acquisition: Acquisition, slice_count: int, pixel_mm: float) -> tuple[float, ...]:
    """Return what decides between equally suitable images of one study; the smallest is taken.

    Each item is what `LATER_BY` names at its place.
    """
    return (
        pixel_mm,
        -slice_count,
        acquisition.series_number or 0,
        acquisition.echo_time_ms or 0,
        acquisition.acquisition or 0,
        acquisition.temporal_position or 0,
    )


def doubts(acquisition: Acquisition, slice_count: int, slice_distance_mm: float) -> tuple[str, ...]:
    """Return what makes it doubtful that an image is a T2-weighted one of the lumbar spine, a sentence each.

    They are free of the header's own texts, which may name the patient.
    """
    found = []
    if is_localizer(acquisition):
        found.append(f"{_who(acquisition)} calls the image a localizer; {LOAD_DIAGNOSTIC}")
    else:
        found.append(_contrast_doubt(acquisition))
        if lies_like_a_localizer(slice_count, slice_distance_mm):
            found.append(
                f"There are only {slice_count} slices, {slice_distance_mm:.0f} mm apart, as in a localizer; "
                f"{LOAD_DIAGNOSTIC}"
            )
    if is_of_other_region(acquisition):
        found.append(f"{_who(acquisition)} names another region than the lumbar spine; check what the image shows.")
    return tuple(doubt for doubt in found if doubt)


def _contrast_doubt(acquisition: Acquisition) -> str:
    contrast = contrast_of(acquisition)
    if contrast is Contrast.LOCALIZER:
        kind = _computed_kind(acquisition)
        what = f"The image was computed ({kind}), not acquired" if kind else "The image is in color, not acquired"
        return f"{what}; load the original sagittal T2 series."
    if (contrast is not Contrast.OTHER) and (kind := _reformatted_kind(acquisition)):
        return f"The image was computed ({kind}), not acquired; load the original sagittal T2 series."
    if contrast is not Contrast.T2 and _is_diffusion(acquisition):
        return f"{_who(acquisition)} states a diffusion-weighted or echo-planar image; {NEEDS_T2}"
    if not _is_magnitude(acquisition):
        return "The image shows phases or parts of complex values; load the magnitude images of the sagittal T2 series."
    if contrast is Contrast.T1:
        return (
            f"The echo time ({acquisition.echo_time_ms:.0f} ms) and the repetition time "
            f"({acquisition.repetition_time_ms:.0f} ms) are not those of a T2-weighted image but of a T1-weighted one; "
            f"{NEEDS_T2}"
        )
    if is_fat_suppressed(acquisition) and (contrast is not Contrast.OTHER or _nulls_fat(acquisition)):
        return _fat_doubt(acquisition)
    if contrast is Contrast.OTHER:
        return _other_contrast_doubt(acquisition)
    if contrast is Contrast.UNKNOWN and not acquisition.only_named:
        return "The DICOM header does not state the contrast; the series was taken for T2-weighted."
    if (acquisition.echo_time_ms or 0) >= MYELOGRAPHIC_ECHO_TIME_MS:
        return (
            f"The echo time ({acquisition.echo_time_ms:.0f} ms) is that of a myelographic image, on which little but "
            f"fluid is seen; {LOAD_DIAGNOSTIC}"
        )
    return ""


def _fat_doubt(acquisition: Acquisition) -> str:
    if _nulls_fat(acquisition):
        return (
            f"The inversion time ({acquisition.inversion_time_ms:.0f} ms) is that of fat suppression (STIR); "
            f"{WITHOUT_FAT_SUPPRESSION}"
        )
    verb = "suggests" if acquisition.only_named else "states"
    return f"{_who(acquisition)} {verb} fat suppression; {WITHOUT_FAT_SUPPRESSION}"


def _other_contrast_doubt(acquisition: Acquisition) -> str:
    echo_ms, repetition_ms = acquisition.echo_time_ms, acquisition.repetition_time_ms
    if echo_ms is not None and echo_ms < T2_MIN_ECHO_TIME_MS:
        return (
            f"The echo time ({echo_ms:.0f} ms) is too short for a T2-weighted image (T1 or proton density?); {NEEDS_T2}"
        )
    if repetition_ms is not None and repetition_ms < T1_MAX_REPETITION_TIME_MS:
        return f"The repetition time ({repetition_ms:.0f} ms) is too short for a T2-weighted image; {NEEDS_T2}"
    return f"{_who(acquisition)} suggests another contrast than T2; {NEEDS_T2}"


def _who(acquisition: Acquisition) -> str:
    return "The name" if acquisition.only_named else "The DICOM header"


def _computed_kind(acquisition: Acquisition) -> str:
    return _kind_of(acquisition, COMPUTED_KINDS)


def _reformatted_kind(acquisition: Acquisition) -> str:
    return _kind_of(acquisition, REFORMATTED_KINDS)


def _kind_of(acquisition: Acquisition, words: tuple[str, ...]) -> str:
    """Return the first of some words that stands by itself in the image type: COMPRESSED is no MPR."""
    kinds = acquisition.image_type
    return next((word for word in words for kind in kinds if re.search(rf"(?<![A-Z]){word}(?![A-Z])", kind)), "")


def _is_diffusion(acquisition: Acquisition) -> bool:
    return (
        acquisition.stated_contrast == "DIFFUSION"
        or bool(acquisition.diffusion_b_value)
        or "EP" in acquisition.scanning_sequence
        or bool(DIFFUSION_WORDS.search(acquisition.labels))
    )


def _is_magnitude(acquisition: Acquisition) -> bool:
    return not any(kind in MAGNITUDE_EXCLUDES for kind in acquisition.image_type[2:])


def _nulls_fat(acquisition: Acquisition) -> bool:
    low, high = STIR_INVERSION_TIMES_MS
    return acquisition.inversion_time_ms is not None and low <= acquisition.inversion_time_ms <= high
