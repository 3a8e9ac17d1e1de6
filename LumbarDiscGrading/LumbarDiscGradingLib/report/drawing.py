"""Anti-aliased shapes and text on an RGB picture, with numpy and Pillow alone."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]

MASK_BLUR_PX = 0.9
"""Blur of a mask before its contour is drawn: rounds the pixel steps, yet keeps a strip two pixels thin."""


@lru_cache(maxsize=16)
def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's built-in font in a size."""
    return ImageFont.load_default(size_px)


def text_width(text: str, size_px: int) -> int:
    """Return the width in pixels that a line of text takes."""
    return int(np.ceil(font(size_px).getlength(text)))


def draw_text(
    canvas: Image.Image, xy: tuple[float, float], text: str, size_px: int, color: Color, anchor: str = "ls"
) -> int:
    """Write a line of text on its baseline and return its width; `anchor` as Pillow defines it."""
    ImageDraw.Draw(canvas).text(xy, text, fill=color, font=font(size_px), anchor=anchor)
    return text_width(text, size_px)


def draw_text_on_image(
    canvas: Image.Image, xy: tuple[float, float], text: str, size_px: int, color: Color, anchor: str
) -> None:
    """Write text with a dark rim that keeps it readable on any grey."""
    ImageDraw.Draw(canvas).text(
        xy, text, fill=color, font=font(size_px), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0)
    )


def shortened(text: str, size_px: int, width_px: int) -> str:
    """Return text that fits a width, its middle left out where needed."""
    if text_width(text, size_px) <= width_px:
        return text
    for kept in range(len(text) - 1, 1, -1):
        head = (kept + 1) // 2
        candidate = f"{text[:head]}...{text[len(text) - (kept - head) :]}"
        if text_width(candidate, size_px) <= width_px:
            return candidate
    return "..."


def wrapped(text: str, size_px: int, width_px: int) -> list[str]:
    """Break text at spaces into lines that fit a width."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size_px) <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(shortened(word, size_px, width_px))
    return lines


def resized(image: NDArray, size: tuple[int, int]) -> NDArray[np.float32]:
    """Resample a plane to (width, height) with bicubic interpolation."""
    plane = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
    return np.asarray(plane.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)


def smooth_field(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a mask as a smooth field of (width, height) whose 0.5 level is the mask's contour."""
    offsets = np.arange(-4, 5)
    kernel = np.exp(-0.5 * (offsets / MASK_BLUR_PX) ** 2)
    kernel /= kernel.sum()
    field = np.asarray(mask, dtype=np.float32)
    for axis in (0, 1):
        padded = np.pad(field, [(4, 4) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        field = sum(k * np.take(padded, range(n, n + field.shape[axis]), axis) for n, k in enumerate(kernel))
    return resized(field, size)


def contour_alpha(field: NDArray[np.float32], width_px: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return coverage, 0 to 1, of the inside of a smooth field and of its outline."""
    down, across = np.gradient(field)
    distance = (field - 0.5) / np.maximum(np.hypot(down, across), 1e-3)
    inside = np.clip(distance + 0.5, 0, 1)
    outline = np.clip(width_px / 2 + 0.5 - np.abs(distance), 0, 1)
    return inside.astype(np.float32), outline.astype(np.float32)


def blend(pixels: NDArray[np.float32], alpha: NDArray[np.float32], color: Color) -> None:
    """Lay a color over RGB pixels, in place, as far as alpha says."""
    rows, columns = (np.flatnonzero(alpha.any(axis=axis)) for axis in (1, 0))
    if rows.size:
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        pixels[box] += alpha[box][..., None] * (np.asarray(color, dtype=np.float32) - pixels[box])


def draw_line(
    canvas: Image.Image, points: list[tuple[float, float]], color: Color, width_px: float, opacity: float = 1.0
) -> None:
    """Draw an anti-aliased line through points (x, y)."""
    margin = int(width_px) + 2
    xs, ys = zip(*points, strict=True)
    x0, y0 = max(int(min(xs)) - margin, 0), max(int(min(ys)) - margin, 0)
    x1, y1 = min(int(max(xs)) + margin, canvas.width), min(int(max(ys)) + margin, canvas.height)
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    distance = np.full(x.shape, np.inf, dtype=np.float32)
    for (ax, ay), (bx, by) in pairwise(points):
        length2 = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-6)
        along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2, 0, 1)
        distance = np.minimum(distance, np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)))
    pixels = np.asarray(canvas.crop((x0, y0, x1, y1)), dtype=np.float32).copy()
    blend(pixels, opacity * np.clip(width_px / 2 + 0.5 - distance, 0, 1), color)
    canvas.paste(Image.fromarray(np.round(pixels).astype(np.uint8)), (x0, y0))


def draw_pill(canvas: Image.Image, xy: tuple[float, float], text: str, size_px: int, color: Color) -> int:
    """Write text on its baseline inside a rounded frame and return the frame's width."""
    pad = size_px * 0.45
    width = text_width(text, size_px) + 2 * pad
    x, y = xy
    box = (x, y - size_px * 0.98, x + width, y + size_px * 0.42)
    ImageDraw.Draw(canvas).rounded_rectangle(box, radius=size_px * 0.35, outline=color, width=1)
    draw_text(canvas, (x + pad, y), text, size_px, color)
    return int(width)


def spread(centers: list[float], gap: float, low: float, high: float) -> list[float]:
    """Move centers, in ascending order, as little as needed to be `gap` apart between `low` and `high`.

    Neighbours that would overlap are set as one block around the mean of where they want to be.
    """
    if not centers:
        return []
    gap = min(gap, (high - low) / max(len(centers) - 1, 1))
    blocks: list[list[float]] = []  # wanted position of a block's first center for each of its members
    for center in centers:
        blocks.append([center])
        while len(blocks) > 1 and _start(blocks[-2], gap, low, high) + gap * len(blocks[-2]) > _start(
            blocks[-1], gap, low, high
        ):
            last = blocks.pop()
            blocks[-1] += [wanted - gap * len(blocks[-1]) for wanted in last]
    return [_start(block, gap, low, high) + gap * n for block in blocks for n in range(len(block))]


def _start(block: list[float], gap: float, low: float, high: float) -> float:
    return min(max(sum(block) / len(block), low), high - gap * (len(block) - 1))
