"""The evidence picture: each graded disc as the network saw it, plain and with the evidence for its group."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..atomic import replacing
from ..dataset.image_files import write_stored
from ..grading.corrections import network_grade
from ..grading.evidence import SHOWN_FROM, DiscEvidence, EvidenceMap
from ..grading.result import DiscGrade, GradingResult
from ..imaging.canvas import Grid
from ..pfirrmann import GROUPS, ROMAN_GRADES
from ..research_use import RESEARCH_USE
from .display_window import display_window
from .drawing import blend, contour_alpha, draw_text, draw_text_on_image, shortened, smooth_field, text_width, wrapped
from .overview import QUIET
from .slice_view import BACKGROUND, TEXT
from .text import model_names, reader_verdict, slices_phrase

CROP_SIZE_PX = (576, 288)
"""Width and height of a disc's crop in the picture: 64 x 32 mm."""
OUTLINE_PX = 2.0
WEAKEST_ALPHA, STRONGEST_ALPHA = 0.25, 0.70
"""How much of the grey below the evidence covers; signal stays readable below the strongest."""

MEANING = (
    "Blue to cyan: image detail that speaks for the group that the network gave. It tells where the network looked and "
    "proves nothing."
)

_MARGIN, _HEADER, _LABELS, _GAP, _ROW_GAP = 36, 118, 250, 20, 22


def evidence_colors(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return RGB colours, 0-255, of evidence 0 to 1: blue to cyan, ever lighter, as Slicer's color table *Ocean*.

    Apart from the groups' colours for colour-blind readers too, and unlike any grey.
    """
    light = np.clip(values, 0.0, 1.0) * 255
    return np.stack([np.zeros_like(light), light, np.full_like(light, 255)], axis=-1)


def evidence_picture(result: GradingResult, evidence: EvidenceMap) -> Image.Image:
    """Return the picture: a row for each disc, head to feet, its crop turned so that its front is on the left.

    Parameters
    ----------
    evidence : EvidenceMap
        Of this result, or of the same before it was corrected.
    """
    evidence = evidence.named_as(result)
    shown = [(disc, evidence.disc(disc.level)) for disc in result.discs]
    width = 2 * _MARGIN + _LABELS + 2 * CROP_SIZE_PX[0] + _GAP
    footer = _footer_lines(result, width - 2 * _MARGIN)
    body = len(shown) * (CROP_SIZE_PX[1] + _ROW_GAP)
    canvas = Image.new("RGB", (width, _HEADER + body + 62 + 26 * len(footer) + _MARGIN - 12), BACKGROUND)
    _draw_header(canvas, result)
    for n, (disc, found) in enumerate(shown):
        _draw_row(canvas, result, disc, found, _HEADER + n * (CROP_SIZE_PX[1] + _ROW_GAP))
    _draw_color_bar(canvas, _HEADER + body + 24)
    for n, (line, color) in enumerate(footer):
        draw_text(canvas, (_MARGIN, _HEADER + body + 76 + 26 * n), line, 18, color)
    return canvas


def save_picture(result: GradingResult, evidence: EvidenceMap, path: str | os.PathLike[str]) -> None:
    """Write the evidence picture; it appears whole or not at all."""
    picture = evidence_picture(result, evidence)
    with replacing(path) as temporary:
        picture.save(temporary)


def save_volume(evidence: EvidenceMap, path: str | os.PathLike[str]) -> None:
    """Write the evidence as a volume on the whole grid of the graded one, in its stored order, 0 to 1."""
    volume = evidence.volume
    with replacing(path) as temporary:
        write_stored(temporary, volume.to_stored(evidence.in_volume()), volume.stored_index_to_lps)


def _draw_header(canvas: Image.Image, result: GradingResult) -> None:
    title = "Evidence of each disc's group"
    draw_text(canvas, (_MARGIN, 50), title, 30, TEXT)
    draw_text(canvas, (_MARGIN, 76), "Crops along the disc, front on the left, as the network sees them", 18, QUIET)
    room = canvas.width - 3 * _MARGIN - text_width(title, 30) - 60
    right = canvas.width - _MARGIN
    draw_text(canvas, (right, 50), shortened(result.volume.source.name, 24, room), 24, TEXT, "rs")
    draw_text(canvas, (right, 76), slices_phrase(result), 18, QUIET, "rs")
    left = _MARGIN + _LABELS
    draw_text(canvas, (left, _HEADER - 10), "image", 18, QUIET)
    draw_text(canvas, (left + CROP_SIZE_PX[0] + _GAP, _HEADER - 10), "with contour and evidence", 18, QUIET)


def _draw_row(canvas: Image.Image, result: GradingResult, disc: DiscGrade, found: DiscEvidence | None, y: int) -> None:
    _draw_label(canvas, disc, y + CROP_SIZE_PX[1] // 2)
    left = _MARGIN + _LABELS
    if found is None:
        text = "not computed for this mask"
        draw_text(canvas, (left, y + CROP_SIZE_PX[1] // 2), text, 20, QUIET)
        return
    grey = _grey(result, found)
    canvas.paste(Image.fromarray(np.round(grey).astype(np.uint8)), (left, y))
    marked = Image.fromarray(np.round(_marked(result, disc, found, grey)).astype(np.uint8))
    canvas.paste(marked, (left + CROP_SIZE_PX[0] + _GAP, y))
    for letter, x in (("A", left + 14), ("P", left + CROP_SIZE_PX[0] - 14)):
        draw_text_on_image(canvas, (x, y + CROP_SIZE_PX[1] / 2), letter, 18, TEXT, "mm")


def _draw_label(canvas: Image.Image, disc: DiscGrade, y: float) -> None:
    ImageDraw.Draw(canvas).rectangle((_MARGIN, y - 44, _MARGIN + 4, y + 48), fill=disc.color)
    x = _MARGIN + 18
    after = x + draw_text(canvas, (x, y - 16), disc.level, 30, TEXT) + 14
    if reader_verdict(disc) is not None:  # the evidence is for the network's group, not for the reader's
        draw_text(canvas, (after, y - 16), "network:", 18, QUIET)
    group, grade = network_grade(disc)
    probability = disc.group_probabilities[GROUPS.index(group)]
    draw_text(canvas, (x, y + 12), f"{group.value} {100 * probability:.0f}%", 22, group.color)
    draw_text(canvas, (x, y + 38), f"Pfirrmann {ROMAN_GRADES[grade]}", 20, TEXT)
    if disc.changes:
        lines = wrapped("; ".join(disc.changes), 16, _LABELS - 30)
        for n, line in enumerate(lines[:4]):
            draw_text(canvas, (x, y + 64 + 20 * n), line, 16, QUIET)


def _grey(result: GradingResult, found: DiscEvidence) -> NDArray[np.float32]:
    """Return the crop's image as RGB, float."""
    low, high = display_window(result)
    plane = _finer(found).sample(result.volume.thick_slice(found.slice_index), found.spacing_mm)
    return np.repeat(np.clip((plane - low) / (high - low), 0, 1)[..., None] * 255, 3, axis=2).astype(np.float32)


def _marked(
    result: GradingResult, disc: DiscGrade, found: DiscEvidence, grey: NDArray[np.float32]
) -> NDArray[np.float32]:
    pixels = grey.copy()
    values = np.asarray(Image.fromarray(found.relative).resize(CROP_SIZE_PX, Image.Resampling.BILINEAR))
    ramp = WEAKEST_ALPHA + (STRONGEST_ALPHA - WEAKEST_ALPHA) * values
    edge = np.clip((values - SHOWN_FROM) / 0.04, 0, 1)  # no hard rim where the evidence fades
    pixels += (ramp * edge)[..., None] * (evidence_colors(values) - pixels)
    mask = result.label_slice == disc.label_value
    field = _finer(found).sample(smooth_field(mask, mask.shape[::-1]), found.spacing_mm)
    blend(pixels, contour_alpha(field, OUTLINE_PX)[1], disc.color)
    return pixels


def _finer(found: DiscEvidence) -> Grid:
    """Return the crop's grid with the picture's pixels."""
    pixel = found.grid.pixel_size_mm * found.grid.shape[0] / CROP_SIZE_PX[1]
    return replace(found.grid, shape=CROP_SIZE_PX[::-1], pixel_size_mm=pixel)


def _draw_color_bar(canvas: Image.Image, y: int) -> None:
    values = np.linspace(SHOWN_FROM, 1, 220, dtype=np.float32)
    bar = np.repeat(evidence_colors(values)[None], 18, axis=0)
    x = _MARGIN + draw_text(canvas, (_MARGIN, y), "weaker", 18, QUIET) + 12
    canvas.paste(Image.fromarray(bar.astype(np.uint8)), (x, y - 15))
    draw_text(canvas, (x + 232, y), "strongest evidence for the group, of each disc", 18, QUIET)


def _footer_lines(result: GradingResult, width_px: int) -> list[tuple[str, tuple[int, int, int]]]:
    lines = [(line, TEXT) for line in wrapped(MEANING, 18, width_px)]
    if result.models:
        lines += [(line, QUIET) for line in wrapped(f"Models: {', '.join(model_names(result))}", 18, width_px)]
    return [*lines, (RESEARCH_USE, QUIET)]
