"""Geometry of the built-in lumbar phantom: a lordotic chain of vertebrae and discs, and coordinates that follow it.

Lengths are in mm on the mid-sagittal plane, as (y, z): y from front to back, z from head to feet. Sizes and angles are
typical of adults (lumbar body 25-27 mm high, 33-36 mm deep, L1-S1 lordosis 50-60 degrees), varied a little by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERTEBRAE = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2", "S3", "S4")
FIRST_SACRAL = VERTEBRAE.index("S1")

BODY_HEIGHT_MM = (21.0, 21.5, 23.0, 24.5, 25.5, 26.0, 26.0, 25.5, 27.0, 21.0, 17.0, 14.0)
BODY_HALF_DEPTH_MM = (14.5, 15.0, 15.5, 16.0, 16.8, 17.2, 17.5, 17.5, 14.0, 9.5, 7.5, 6.0)
BODY_TILT_DEGREES = (-8.0, -9.0, -10.0, -11.0, -9.0, -4.0, 4.0, 17.0, 45.0, 52.0, 47.0, 36.0)
"""Direction of each body's axis, 0 straight to the feet, positive towards the back."""

BODY_WEDGE_DEGREES = (2.0, 2.0, 2.0, 1.0, 0.0, -2.0, -3.0, -8.0, -4.0, 0.0, 0.0, 0.0)
"""Angle between a body's end plates, negative where it is higher in front (L5 most of all)."""

DISC_HEIGHT_MM = (5.0, 5.5, 6.5, 8.0, 9.2, 10.2, 11.0, 10.0, 3.0, 2.0, 1.5)
"""Height of the disc below each vertebra before degeneration."""

HEIGHT_LEFT_BY_GRADE = {1: 1.0, 2: 1.0, 3: 0.9, 4: 0.7, 5: 0.42}
"""Share of its height that a disc keeps at each Pfirrmann grade."""

SACRAL_TAPER = {"S1": 0.42, "S2": 0.3, "S3": 0.25, "S4": 0.3}
"""Loss of depth from the upper to the lower end of a sacral body, as a share of its middle depth."""

ANCHOR_VERTEBRA = VERTEBRAE.index("L3")
CURVE_STEP_MM = 1.0


def disc_name(index: int) -> str:
    """Return the level name of the disc below vertebra `index`."""
    return f"{VERTEBRAE[index]}-{VERTEBRAE[index + 1]}"


@dataclass(frozen=True)
class Body:
    """One vertebral body on the mid-sagittal plane.

    Attributes
    ----------
    name : str
    center_mm : ndarray, shape (2,)
        (y, z).
    tilt : float
        Direction of its axis in radians, positive towards the back.
    wedge : float
        Angle between its end plates in radians, negative where it is higher in front.
    height_mm, half_depth_mm : float
    """

    name: str
    center_mm: NDArray[np.float64]
    tilt: float
    wedge: float
    height_mm: float
    half_depth_mm: float

    @property
    def axis(self) -> NDArray[np.float64]:
        """Unit vector (y, z) along the body towards the feet."""
        return np.array([np.sin(self.tilt), np.cos(self.tilt)])

    @property
    def backward(self) -> NDArray[np.float64]:
        """Unit vector (y, z) across the body towards the back."""
        return np.array([np.cos(self.tilt), -np.sin(self.tilt)])

    def local(self, y: NDArray, z: NDArray) -> tuple[NDArray, NDArray]:
        """Return the coordinates across (towards the back) and along (towards the feet) the body, in mm."""
        dy, dz = y - self.center_mm[0], z - self.center_mm[1]
        return dy * self.backward[0] + dz * self.backward[1], dy * self.axis[0] + dz * self.axis[1]

    def half_depth_at(self, along: NDArray | float) -> NDArray | float:
        """Return half the depth of the body at `along`; sacral bodies taper towards the feet."""
        taper = SACRAL_TAPER.get(self.name, 0.0)
        return self.half_depth_mm * (1.0 - taper * np.clip(along / self.height_mm, -0.6, 0.6))

    def half_height(self, across: NDArray, concavity_mm: float) -> NDArray:
        """Return half the height of the body at `across`: wedge and concave end plates."""
        hollow = concavity_mm * np.clip(1.0 - (across / self.half_depth_mm) ** 2, 0.0, 1.0)
        return self.height_mm / 2 + across * np.tan(self.wedge / 2) - hollow


@dataclass(frozen=True)
class Spine:
    """A chain of bodies, head to feet, with the discs between them and a curve along the canal.

    Attributes
    ----------
    bodies : tuple of Body
    disc_heights_mm : tuple of float
        Height of the disc below each body but the last.
    canal_curve_mm : ndarray, shape (n, 2)
        Points (y, z) about a millimetre apart along the back of the bodies and discs, head to feet.
    canal_stations_mm : ndarray, shape (bodies,)
        Position along the curve that is level with the middle of each body.
    """

    bodies: tuple[Body, ...]
    disc_heights_mm: tuple[float, ...]
    canal_curve_mm: NDArray[np.float64]
    canal_stations_mm: NDArray[np.float64]

    @classmethod
    def build(cls, rng: np.random.Generator, grades: Mapping[str, int], anchor_mm: tuple[float, float]) -> Spine:
        """Chain bodies and discs up and down from L3, whose centre is at `anchor_mm` (y, z)."""
        size = 1.0 + 0.025 * rng.standard_normal()
        lordosis = 1.0 + 0.08 * rng.standard_normal()
        tilts = np.radians(np.array(BODY_TILT_DEGREES) * lordosis + rng.normal(0.0, 0.7, len(VERTEBRAE)))
        heights = np.array(BODY_HEIGHT_MM) * size * (1 + 0.012 * rng.standard_normal(len(VERTEBRAE)))
        depths = np.array(BODY_HALF_DEPTH_MM) * size * (1 + 0.012 * rng.standard_normal(len(VERTEBRAE)))
        discs = np.array(DISC_HEIGHT_MM) * size * (1 + 0.03 * rng.standard_normal(len(DISC_HEIGHT_MM)))
        discs *= [HEIGHT_LEFT_BY_GRADE[grades.get(disc_name(i), 1)] for i in range(len(discs))]
        axes = np.column_stack([np.sin(tilts), np.cos(tilts)])
        centers = np.zeros((len(VERTEBRAE), 2))
        for i in range(1, len(VERTEBRAE)):
            between = axes[i - 1] + axes[i]
            step = axes[i - 1] * heights[i - 1] / 2 + axes[i] * heights[i] / 2
            centers[i] = centers[i - 1] + step + between / np.linalg.norm(between) * discs[i - 1]
        centers += np.array(anchor_mm) - centers[ANCHOR_VERTEBRA]
        bodies = tuple(
            Body(name, centers[i], float(tilts[i]), float(np.radians(BODY_WEDGE_DEGREES[i])), heights[i], depths[i])
            for i, name in enumerate(VERTEBRAE)
        )
        curve, stations = _canal_curve(bodies)
        return cls(bodies, tuple(float(d) for d in discs), curve, stations)

    def curved_coordinates(self, y: NDArray, z: NDArray) -> tuple[NDArray, NDArray]:
        """Return for each point its position along the canal curve and its distance behind it, in mm.

        Parameters
        ----------
        y, z : ndarray
            Positions in mm; computed point by point, so give a coarse grid and interpolate.
        """
        curve = self.canal_curve_mm
        tangent = np.gradient(curve, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
        points = np.column_stack([y.ravel(), z.ravel()])
        distances = (points**2).sum(1)[:, None] - 2 * points @ curve.T + (curve**2).sum(1)[None]
        nearest = distances.argmin(axis=1)
        delta = points - curve[nearest]
        along = arc[nearest] + (delta * tangent[nearest]).sum(1)
        behind = delta[:, 0] * tangent[nearest, 1] - delta[:, 1] * tangent[nearest, 0]
        return along.reshape(y.shape), behind.reshape(y.shape)


def _canal_curve(bodies: tuple[Body, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smooth curve along the back of the bodies, prolonged upward, and the station of each body on it."""
    backs = np.array([body.center_mm + body.backward * body.half_depth_mm for body in bodies])
    above = backs[0] - bodies[0].axis * 40.0
    knots = np.vstack([above, backs])
    positions = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    fine = np.arange(0.0, positions[-1], CURVE_STEP_MM)
    curve = np.column_stack([np.interp(fine, positions, knots[:, k]) for k in range(2)])
    kernel = np.exp(-0.5 * (np.arange(-24, 25) / 8.0) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(curve, ((24, 24), (0, 0)), mode="reflect", reflect_type="odd")
    curve = np.column_stack([np.convolve(padded[:, k], kernel, mode="valid") for k in range(2)])
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    stations = [arc[np.argmin(((curve - back) ** 2).sum(1))] for back in backs]
    return curve, np.array(stations)
