"""Draws the pictures of the Pfirrmann grades again: ``python Testing/equipment/draw_pfirrmann_grades.py``.

Sagittal discs between two vertebral bodies, drawn by code after Pfirrmann et al., Spine 26(17):1873-1878 (2001).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from LumbarDiscGradingLib.pfirrmann import GRADES
from LumbarDiscGradingLib.report.criteria import SIZE_PX
from LumbarDiscGradingLib.resources import resource_path

_SCALE = 3
_HEIGHTS = {1: 0.30, 2: 0.30, 3: 0.27, 4: 0.22, 5: 0.10}
"""Height of the disc relative to that of the drawing."""
_NUCLEUS = {1: 0.97, 2: 0.88, 3: 0.50, 4: 0.24, 5: 0.06}
_ANNULUS = {1: 0.10, 2: 0.12, 3: 0.26, 4: 0.16, 5: 0.05}
_CONTRAST_EDGE = {1: 0.06, 2: 0.08, 3: 0.30, 4: 0.42, 5: 0.50}
"""How far the border of nucleus and annulus is smeared, relative to the disc."""
_MARROW, _CORTEX, _BACKGROUND = 0.42, 0.04, 0.0


def draw_grade(grade: int) -> Image.Image:
    """Return the drawing of a grade: a disc between two vertebral bodies, front to the left.

    Returns
    -------
    PIL.Image.Image
        Grey, `SIZE_PX`.
    """
    width, height = (n * _SCALE for n in SIZE_PX)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    x, y = (x - width / 2) / width, (y - height / 2) / height
    disc_half = _HEIGHTS[grade] / 2
    waist = 0.030 * (1 - (x / 0.42) ** 2)  # end plates are hollow, the disc is thickest in its middle
    edge = disc_half + waist - 0.015
    body_front = 0.42 - 0.05 * np.clip((np.abs(y) - disc_half) / 0.4, 0, 1) ** 0.8
    rng = np.random.default_rng(grade)
    picture = np.full(x.shape, _BACKGROUND)
    cortex = 0.022
    body = (np.abs(y) > edge + 0.004) & (np.abs(x) < body_front)
    picture[body] = _CORTEX
    inner = (np.abs(y) > edge + 0.004 + cortex) & (np.abs(x) < body_front - 0.012)
    picture[inner] = (_MARROW + 0.03 * _texture(rng, x.shape, 8))[inner]
    bulge = 0.02 if grade >= 4 else 0.0
    rounded = np.sqrt(np.clip(1 - np.clip((np.abs(x) - 0.37 - bulge) / 0.06, 0, 1) ** 2, 0, 1))
    disc = (np.abs(y) <= edge * rounded) & (np.abs(x) < 0.43 + bulge)
    picture[disc] = _disc_signal(grade, x, y / np.maximum(edge, 1e-6), rng)[disc]
    image = Image.fromarray(np.uint8(255 * np.clip(picture, 0, 1)))
    return image.filter(ImageFilter.GaussianBlur(_SCALE * 0.7)).resize(SIZE_PX, Image.Resampling.LANCZOS)


def _disc_signal(grade: int, x: NDArray, depth: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the disc's signal: bright nucleus, dark annulus, their border ever more smeared."""
    radius = np.hypot(x / 0.31, depth / 0.86)
    inside = 1 / (1 + np.exp((radius - 1) / _CONTRAST_EDGE[grade] * 4))
    signal = _ANNULUS[grade] + (_NUCLEUS[grade] - _ANNULUS[grade]) * inside
    if grade == 2:  # the horizontal band of the intranuclear cleft
        signal -= 0.42 * np.exp(-((depth / 0.16) ** 2)) * np.exp(-((x / 0.22) ** 4))
    unevenness = {1: 0.0, 2: 0.02, 3: 0.06, 4: 0.05, 5: 0.01}[grade]
    return signal + unevenness * _texture(rng, x.shape, 14)


def _texture(rng: np.random.Generator, shape: tuple[int, ...], radius: int) -> NDArray[np.float64]:
    noise = Image.fromarray(np.uint8(rng.integers(0, 256, shape)))
    smooth = np.asarray(noise.filter(ImageFilter.GaussianBlur(radius)), dtype=float)
    return (smooth - smooth.mean()) / max(smooth.std(), 1e-6)


if __name__ == "__main__":
    for grade in GRADES:
        draw_grade(grade).save(resource_path("Pfirrmann", f"grade{grade}.png"))
