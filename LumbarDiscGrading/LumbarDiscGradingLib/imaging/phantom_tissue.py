"""Painting the tissues of the built-in lumbar phantom, slice by slice, as a sagittal T2 turbo spin echo shows them.

Signals are relative to cerebrospinal fluid (1). Shapes are given by a signed distance in mm, negative inside, and
painted over one another with soft edges, so that borders have the partial-volume look of real pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..pfirrmann import DISC_LABELS, Tissue
from .phantom_shapes import blurred, bump, depth_share, linear_weights, rounded_corner, smooth_noise, soft_step
from .phantom_spine import FIRST_SACRAL, VERTEBRAE, Body, Spine, disc_name

FLUID, FAT, MARROW, MUSCLE, CORD, ROOTS, CORTEX, VESSEL = 1.0, 0.66, 0.36, 0.13, 0.40, 0.52, 0.035, 0.03
INTERSPINOUS, BOWEL, SKIN = 0.20, 0.22, 0.30

BODY_HALF_WIDTH_MM = 23.0
DISC_HALF_WIDTH_MM = 24.0
SAC_HALF_WIDTH_MM = 10.0
CORTEX_MM = 0.9
COIL_DEPTH_MM = 92.0
COIL_POWER = 2.6
BODY_MARGIN_MM = 6.0
COARSE_STEP_PIXELS = 6


@dataclass(frozen=True)
class DiscLook:
    """Appearance of a Pfirrmann grade: signals of nucleus and annulus, how they meet, cleft, texture, bulge in mm."""

    nucleus: float
    annulus: float
    width: float
    softness: float
    cleft: float
    texture: float
    bulge_mm: float


DISC_LOOKS = {
    1: DiscLook(0.68, 0.06, 0.74, 0.18, 0.06, 0.07, 0.3),
    2: DiscLook(0.54, 0.05, 0.70, 0.22, 0.45, 0.12, 0.5),
    3: DiscLook(0.36, 0.08, 0.74, 0.42, 0.12, 0.22, 1.0),
    4: DiscLook(0.135, 0.07, 0.70, 0.60, 0.0, 0.22, 1.9),
    5: DiscLook(0.050, 0.04, 0.60, 0.60, 0.0, 0.20, 2.2),
}
"""By grade: I homogeneous and bright, II bright with a cleft, III grey with a blurred border, IV dark, V black."""


class SlicePainter:
    """Paints sagittal slices of one phantom.

    Parameters
    ----------
    spine : Spine
    grades : mapping
        Pfirrmann grade by level.
    rng : numpy.random.Generator
        Source of textures; slices must be painted in the same order to get the same textures.
    shape : tuple of int
        Rows and columns.
    pixel_mm : float
    """

    def __init__(
        self,
        spine: Spine,
        grades: Mapping[str, int],
        rng: np.random.Generator,
        shape: tuple[int, int],
        pixel_mm: float,
    ) -> None:
        self._spine, self._grades, self._rng, self._shape, self._pixel_mm = spine, grades, rng, shape, pixel_mm
        z, y = np.meshgrid(np.arange(shape[0]) * pixel_mm, np.arange(shape[1]) * pixel_mm, indexing="ij")
        self._y, self._z = y.astype(np.float32), z.astype(np.float32)
        self._along, self._behind = self._curved_coordinates()
        stations = np.arange(len(VERTEBRAE))
        self._level = np.interp(self._along, spine.canal_stations_mm, stations).astype(np.float32)
        above = self._along < spine.canal_stations_mm[0]
        self._level[above] = (self._along[above] - spine.canal_stations_mm[0]) / 27.0
        self._bulge = self._disc_bulge()
        self._sac_front, self._sac_depth = self._sac_outline()
        self._under_skin, self._fat_mm = self._skin()
        self._bias = self._coil_sensitivity()
        self._texture = {scale: smooth_noise(rng, shape, scale) for scale in (1.6, 4.0, 14.0)}
        self._septa = smooth_noise(rng, shape, (4.0, 22.0))
        self._fibres = smooth_noise(rng, shape, (24.0, 2.6))

    def paint(self, x_mm: float) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Paint the slice `x_mm` to the left of the spine's midline.

        Returns
        -------
        signal : ndarray of float32, shape (rows, columns)
            Noise-free, with the coil's fall-off.
        mask : ndarray of uint8, shape (rows, columns)
        """
        fresh = {scale: smooth_noise(self._rng, self._shape, scale) for scale in self._texture}
        self._now = {scale: 0.7 * self._texture[scale] + 0.7 * fresh[scale] for scale in fresh}
        self._signal = np.zeros(self._shape, np.float32)
        self._mask = np.zeros(self._shape, np.uint8)
        self._paint_front(x_mm)
        self._paint_back(x_mm)
        self._paint_sac(x_mm)
        for body in self._spine.bodies:
            self._paint_body(body, x_mm)
        for index in range(len(self._spine.bodies) - 1):
            self._paint_disc(index, x_mm)
        self._paint_arches(x_mm)
        self._paint_skin()
        return blurred(self._signal * self._bias), self._mask

    # --- geometry shared by all slices ---

    def _curved_coordinates(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = np.arange(0, self._shape[0] + COARSE_STEP_PIXELS, COARSE_STEP_PIXELS)
        columns = np.arange(0, self._shape[1] + COARSE_STEP_PIXELS, COARSE_STEP_PIXELS)
        z, y = np.meshgrid(rows * self._pixel_mm, columns * self._pixel_mm, indexing="ij")
        maps = self._spine.curved_coordinates(y, z)
        row_weights = linear_weights(np.arange(self._shape[0]), rows)
        column_weights = linear_weights(np.arange(self._shape[1]), columns)
        along, behind = ((row_weights @ values @ column_weights.T).astype(np.float32) for values in maps)
        return along, behind

    def _disc_bulge(self) -> NDArray:
        bulge = np.zeros(self._shape, np.float32)
        for index in range(FIRST_SACRAL):
            look = DISC_LOOKS[self._grades.get(disc_name(index), 1)]
            bulge += look.bulge_mm * bump(self._level - (index + 0.5), 0.13)
        return bulge

    def _sac_outline(self) -> tuple[NDArray, NDArray]:
        end = FIRST_SACRAL + 0.75 + self._rng.uniform(-0.2, 0.25)
        levels = [-2.0, 2.0, 3.0, 5.0, 6.0, 7.0, 7.5, 8.0, end]
        front = np.interp(self._level, levels, [2.0, 2.0, 2.0, 2.0, 2.2, 3.0, 3.8, 5.2, 7.5])
        depth = np.interp(self._level, levels, [13.5, 15.0, 15.5, 14.5, 14.0, 12.5, 11.0, 8.0, 0.0])
        indent = np.maximum(self._bulge - 0.4, 0.0) * 1.1
        return front + indent, np.maximum(depth - indent, 0.0) * (self._level < end)

    def _skin(self) -> tuple[NDArray, NDArray]:
        z = self._z[:, :1]
        height = self._shape[0] * self._pixel_mm
        wave = smooth_noise(self._rng, (self._shape[0], 1), (70.0, 1.0))
        knots = np.array([0.0, 0.25, 0.45, 0.65, 0.8, 1.0]) * height
        curve_y = np.interp(knots, self._spine.canal_curve_mm[:, 1], self._spine.canal_curve_mm[:, 0])
        cover = np.array([52.0, 58.0, 62.0, 64.0, 58.0, 44.0]) + self._rng.uniform(-3, 6)
        skin_y = np.interp(z, knots, curve_y + cover)
        smoothing = np.exp(-0.5 * (np.arange(-90, 91) / 35.0) ** 2)
        padded = np.pad(skin_y[:, 0], 90, mode="reflect", reflect_type="odd")
        skin_y = np.convolve(padded, smoothing / smoothing.sum(), mode="valid")[:, None] + 0.6 * wave
        fat = np.interp(z, knots, np.array([9.0, 10.0, 13.0, 20.0, 22.0, 16.0]) + self._rng.uniform(-2, 5))
        return (skin_y - self._y).astype(np.float32), (fat + 0.8 * wave).astype(np.float32)

    def _coil_sensitivity(self) -> NDArray:
        depth = np.maximum(self._under_skin, 0.0)
        coil = 1.0 / (1.0 + (depth / COIL_DEPTH_MM) ** COIL_POWER)
        front_band = 0.3 + 0.7 * soft_step((self._behind + 58.0) / 5.0)  # saturation band over the moving abdomen
        height = self._shape[0] * self._pixel_mm
        ends = 1.0 - 0.22 * abs(2 * self._z / height - 1) ** 4
        drift = 1.0 + 0.05 * smooth_noise(self._rng, self._shape, 120.0)
        return (coil * front_band * ends * drift).astype(np.float32)

    # --- painting ---

    def _cover(self, distance: NDArray) -> NDArray:
        return np.clip(0.5 - distance / self._pixel_mm, 0.0, 1.0)

    def _over(
        self, distance: NDArray, value: NDArray | float, box: tuple[slice, slice] = (slice(None), slice(None))
    ) -> None:
        cover = self._cover(distance)
        self._signal[box] += cover * (value - self._signal[box])

    def _label(self, distance: NDArray, value: int, box: tuple[slice, slice] = (slice(None), slice(None))) -> None:
        self._mask[box][distance < 0] = value

    def _paint_front(self, x_mm: float) -> None:
        """Belly: bowel and fat far off, fat in front of the sacrum, psoas beside the spine, aorta and vena cava."""
        low, mid, streak = self._now[14.0], self._now[4.0], self._fibres
        ahead = -self._behind
        bowel = BOWEL * (1 + 0.5 * np.tanh(low) + 0.2 * mid)
        self._signal[:] = np.maximum(bowel, 0.02)
        pelvis_fat = soft_step((self._level - 6.6) / 0.25) * soft_step((ahead - 8.0) / 3.0)
        loops = soft_step((low + 0.25 * self._texture[14.0] - 0.5) / 0.12) * soft_step((ahead - 42.0) / 3.0)
        self._signal += pelvis_fat * ((FAT * 0.8 * (1 + 0.05 * mid)) * (1 - loops) + 0.06 * loops - self._signal)
        near = ahead < 30.0 + 6.0 * depth_share(x_mm, 40.0)
        if abs(x_mm) > 0.8 * BODY_HALF_WIDTH_MM:
            psoas = near & (ahead > -4.0) & (self._level > 2.2)
            self._signal[psoas] = MUSCLE * (1 + 0.25 * streak[psoas] * 0.5 + 0.15 * mid[psoas])
        retroperitoneal = bump(ahead - 38.0, 6.0) * (self._level < 7.3)
        self._signal += retroperitoneal * 0.6 * (FAT * (0.75 + 0.15 * low) - self._signal)
        for center_x, radius, until in ((9.0, 9.5, 6.3), (-11.0, 10.0, 6.6)):
            half = radius**2 - (x_mm - center_x) ** 2
            if half > 0:
                distance = abs(ahead - 47.0 - 1.5 * np.sin(self._level)) - np.sqrt(half)
                self._over(np.maximum(distance, (self._level - until) * 25.0), VESSEL + 0.02 * abs(mid))

    def _paint_back(self, x_mm: float) -> None:
        """Muscle beside, ligaments and fat between the spinous processes, back to the lumbodorsal fascia."""
        low, mid, fine = self._now[14.0], self._now[4.0], self._now[1.6]
        midline = float(np.exp(-((x_mm / 5.0) ** 2)))
        streaks = soft_step((self._fibres + 0.5 * mid - 1.25) / 0.3)
        fatty = 0.35 + 0.65 * soft_step((self._level - 5.5) / 0.8)
        muscle = MUSCLE * (1 + 0.2 * low + 0.12 * fine) + fatty * streaks * FAT * 0.75
        between = INTERSPINOUS * (0.8 + 0.3 * low + 0.3 * mid + 0.12 * fine)
        between = between + 0.6 * FAT * soft_step((0.8 * low + 0.6 * self._fibres + 0.3 * mid - 1.0) / 0.4)
        between = between * (1 - 0.65 * bump(self._septa + 0.5 * low + 0.3, 0.35))
        value = np.maximum(muscle * (1 - midline) + between * midline, 0.02)
        fascia = self._fat_mm - self._under_skin
        self._over(np.maximum(-self._behind - 2.0, fascia + 1.2), value)
        self._over(np.maximum(-self._behind - 2.0, abs(fascia + 0.6) - 0.8), CORTEX)

    def _paint_sac(self, x_mm: float) -> None:
        """Epidural fat, dura, fluid, conus and cauda equina; foramina with their roots beside the canal."""
        behind, level = self._behind, self._level
        beside = 1.0 - (x_mm / SAC_HALF_WIDTH_MM) ** 2
        if beside <= 0.05:
            if abs(x_mm) < BODY_HALF_WIDTH_MM:
                self._paint_foramina()
            return
        narrow = np.sqrt(beside)
        depth = self._sac_depth * (0.35 + 0.65 * narrow)
        middle = self._sac_front + self._sac_depth / 2
        front, back = middle - depth / 2, middle + depth / 2
        pads = (
            bump(np.mod(level + 0.07 * self._texture[14.0], 1.0) - 0.9, 0.2)
            * 5.0
            * soft_step((level - 1.0) / 0.5)
            * narrow
        )
        sacral = np.maximum(level - 7.3, 0.0) * 2.0
        canal_back = back + 1.2 + np.where(level < 7.6, pads, np.minimum(sacral, 4.0))
        canal_back = np.minimum(canal_back, np.interp(level, [7.6, 8.5, 11.0], [40.0, 11.0, 3.5]))
        fat = FAT * (1.0 + 0.05 * self._now[4.0])
        self._over(np.maximum(1.0 - behind, behind - canal_back), fat)
        self._over(abs(behind - canal_back - 0.9) - 1.0, 0.06)
        dura = np.maximum(front - 0.9 - behind, behind - back - 0.7)
        self._over(np.maximum(dura, (0.5 - depth) * 4), 0.08)
        inside = np.maximum(np.maximum(front - behind, behind - back), (1.0 - depth) * 4)
        strands = self._strands(back, depth, narrow)
        pulsation = 1.0 - 0.06 * abs(self._now[14.0])
        self._over(inside, FLUID * pulsation - strands)
        self._label(inside, Tissue.CANAL)
        conus_end = 3.35
        radius = 4.6 * np.clip((conus_end - level) / 0.9, 0.0, 1.0) ** 0.6 * np.sqrt(max(1 - (x_mm / 5.5) ** 2, 0.0))
        axis = middle + 0.6 + 0.8 * soft_step((level - 2.4) / 0.3)
        self._over(np.maximum(abs(behind - axis) - radius, (0.3 - radius) * 4), CORD * (1 + 0.06 * self._now[4.0]))

    def _strands(self, back: NDArray, depth: NDArray, narrow: float) -> NDArray:
        """Signal that the roots of the cauda equina take from the fluid: a band along its back."""
        share = np.clip((back - self._behind) / np.maximum(depth, 1.0), 0.0, 1.0)
        band = np.interp(self._level, [2.2, 3.0, 4.0, 6.0, 7.5], [0.05, 0.55, 0.45, 0.34, 0.22])
        fade = np.interp(self._level, [2.2, 3.0, 4.5, 6.5, 8.0], [0.0, 1.0, 0.85, 0.5, 0.15])
        fibres = 0.72 + 0.28 * np.sin(share * 38.0 + 2.0 * np.sin(self._along / 23.0) + self._texture[14.0])
        return (FLUID - ROOTS) * fade * fibres * soft_step((band * (0.4 + 0.6 * narrow) - share) / 0.05)

    def _paint_foramina(self) -> None:
        level, behind = self._level, self._behind
        fat = FAT * 0.95 * (1.0 + 0.06 * self._now[4.0])
        for index in range(1, FIRST_SACRAL):
            offset_mm = (level - (index + 0.42)) * 35.0
            opening = np.hypot(offset_mm / 1.35, behind - 6.0) - 6.5
            self._over(opening, fat)
            self._over(np.hypot(offset_mm + 3.0, behind - 5.5) - 2.8, 0.24)

    def _box(self, center_mm: NDArray, radius_mm: float) -> tuple[slice, slice]:
        column, row = (center_mm - radius_mm) / self._pixel_mm
        size = 2 * radius_mm / self._pixel_mm
        return slice(max(int(row), 0), max(int(row + size), 0)), slice(max(int(column), 0), max(int(column + size), 0))

    def _paint_body(self, body: Body, x_mm: float) -> None:
        is_sacral = VERTEBRAE.index(body.name) >= FIRST_SACRAL
        shrink = depth_share(x_mm, BODY_HALF_WIDTH_MM * (1.0 if not is_sacral else 1.5))
        if shrink < 0.2:
            return
        box = self._box(body.center_mm, body.height_mm / 2 + body.half_depth_mm + BODY_MARGIN_MM)
        across, along = body.local(self._y[box], self._z[box])
        depth = body.half_depth_at(along)
        across_here = across - 0.35 * (1 - shrink) * depth
        wall = abs(across_here) - depth * shrink + 1.3 * np.clip(1 - (2 * along / body.height_mm) ** 2, 0, 1)
        plate = abs(along) - body.half_height(across, 0.6 if is_sacral else 1.3)
        distance = rounded_corner(wall, plate, 1.6)
        low, mid, fine = (self._now[scale][box] for scale in (14.0, 4.0, 1.6))
        marrow = MARROW * (1 + 0.08 * low + 0.07 * mid + 0.06 * fine)
        index = VERTEBRAE.index(body.name)
        for side, level in ((-1, index - 1), (1, index)):  # fatty end plate change (Modic 2) beside worn discs
            grade = self._grades.get(disc_name(level), 1) if 0 <= level < len(VERTEBRAE) - 1 else 1
            if grade >= 4:
                patch = np.clip(0.6 + 0.5 * low, 0, 1) * np.exp(-np.maximum(-plate, 0) / 4.0) * (side * along > 0)
                marrow = marrow + (0.05 if grade == 4 else 0.11) * patch
        vein = bump(along, 1.3) * soft_step((across - 0.45 * depth) / 2.0) * np.exp(-((x_mm / 5.0) ** 2))
        marrow = marrow + 0.0 if is_sacral else marrow + 0.22 * vein
        self._over(distance - 0.3, CORTEX, box)
        self._over(distance + CORTEX_MM, marrow, box)
        if not is_sacral:
            self._label(distance, Tissue.VERTEBRA, box)

    def _paint_disc(self, index: int, x_mm: float) -> None:
        upper, lower = self._spine.bodies[index], self._spine.bodies[index + 1]
        name = disc_name(index)
        is_remnant = index >= FIRST_SACRAL
        half_width = DISC_HALF_WIDTH_MM * (0.6 if is_remnant else 1.0)
        shrink = depth_share(x_mm, half_width)
        if shrink < 0.2:
            return
        look = DISC_LOOKS[self._grades.get(name, 1)]
        center = (
            upper.center_mm + upper.axis * upper.height_mm / 2 + lower.center_mm - lower.axis * lower.height_mm / 2
        ) / 2
        box = self._box(center, upper.half_depth_mm + BODY_MARGIN_MM)
        y, z = self._y[box], self._z[box]
        across_upper, along_upper = upper.local(y, z)
        across_lower, along_lower = lower.local(y, z)
        hollow = 0.6 if is_remnant else 1.3
        below = along_upper - upper.half_height(across_upper, hollow)
        above = -along_lower - lower.half_height(across_lower, hollow if lower.name != "S1" else 0.6)
        depth = (upper.half_depth_at(upper.height_mm / 2) + lower.half_depth_at(-lower.height_mm / 2)) / 2
        across = (across_upper + across_lower) / 2 - 0.35 * (1 - shrink) * depth
        share = np.clip(below / np.maximum(below + above, 0.5), 0.0, 1.0)
        swell = (0.4 + look.bulge_mm) * np.clip(1 - (2 * share - 1) ** 2, 0, 1)
        wall = abs(across) - depth * shrink - swell
        distance = np.maximum(wall, np.maximum(-below, -above))
        if is_remnant:
            self._over(np.maximum(distance, abs(across) - 0.75 * depth), 0.10, box)
            return
        radial = abs(across / (depth * shrink) - 0.06) / (look.width * (0.5 + 0.5 * shrink))
        core = soft_step((1.0 - radial**2.6 - (abs(2 * share - 1) / 0.97) ** 3.0) / look.softness)
        low, mid, fine = (self._now[scale][box] for scale in (14.0, 4.0, 1.6))
        nucleus = look.nucleus * (1 + look.texture * (0.6 * mid + 0.5 * fine + 0.4 * low))
        nucleus = nucleus * (1 - look.cleft * bump(share - 0.5 - 0.03 * low, 0.13) * soft_step((0.72 - radial) / 0.08))
        lamellae = look.annulus * (1 + 0.35 * np.sin(across * 2.6) + 0.25 * mid)
        self._over(distance - 0.3, CORTEX, box)
        self._over(distance + 0.45, np.maximum(lamellae + core * (nucleus - lamellae), 0.01), box)
        if name in DISC_LABELS:
            self._label(distance, DISC_LABELS[name], box)

    def _paint_arches(self, x_mm: float) -> None:
        """Spinous processes near the midline, laminae, pedicles and articular processes beside it."""
        behind, level, low, mid = self._behind, self._level, self._now[14.0], self._now[4.0]
        marrow = (MARROW + 0.02) * (1 + 0.13 * low + 0.09 * mid)
        back = self._sac_front + np.maximum(self._sac_depth, 6.0)
        for index in range(FIRST_SACRAL + 2):
            lumbar = index >= 3
            offset_mm = (level - (index + (0.47 if lumbar else 0.62))) * 34.0
            size = 0.6 if index >= FIRST_SACRAL else 0.85 if index == FIRST_SACRAL - 1 else 1.0
            if abs(x_mm) < 4.5:
                length = 14.5 * size * (1 - (abs(x_mm) / 6.0) ** 2)
                reach = behind - back - 3.5 - length
                tilt = 0.28 if lumbar else 0.75
                height = (8.2 if lumbar else 5.0) * size + 0.17 * np.clip(reach, -14, 14) * size
                wobble = 0.9 * self._texture[14.0]
                distance = rounded_corner(
                    abs(reach) - length + wobble, abs(offset_mm - tilt * (reach + 4)) - height + wobble, 5.5
                )
            elif abs(x_mm) < SAC_HALF_WIDTH_MM:
                distance = np.hypot((offset_mm + 2.0) / 2.1, behind - back - 4.5 - 0.25 * offset_mm) - 4.0 * size
            elif abs(x_mm) < 20.0 and index < FIRST_SACRAL:
                pedicle = rounded_corner(abs((level - (index - 0.2)) * 34.0) - 5.5, abs(behind - 5.0) - 10.0, 2.5)
                upper = np.hypot((level - (index - 0.42)) * 34.0 / 2.0, behind - 13.0) - 4.2
                lower = np.hypot((level - (index + 0.38)) * 34.0 / 2.2, behind - 20.5) - 4.4
                distance = np.minimum(np.minimum(pedicle, upper), lower)
            else:
                continue
            distance = np.maximum(distance, self._fat_mm - self._under_skin + 2.0)
            self._over(distance - 0.5, CORTEX)
            self._over(distance + 0.7, marrow)
            if index < FIRST_SACRAL:
                free = (distance < 0) & (self._mask == 0)
                self._mask[free] = Tissue.VERTEBRA

    def _paint_skin(self) -> None:
        """Subcutaneous fat with its septa, skin, and the air behind."""
        lobules = self._fibres + 0.35 * self._septa  # septa run mostly along the skin
        septa = 1 - 0.42 * bump(lobules, 0.16) - 0.25 * bump(self._now[4.0], 0.16)
        fat = FAT * septa * (1 + 0.09 * self._now[14.0] + 0.04 * self._now[1.6])
        under = self._under_skin
        self._over(np.maximum(under - self._fat_mm, -under), fat)
        self._over(np.maximum(under - 1.6, -under), SKIN)
        self._over(under, 0.0)
