"""The Pfirrmann criteria in words; the drawings beside them are in Resources/Pfirrmann.

Criteria after Pfirrmann et al., Spine 26(17):1873-1878 (2001), table 1, in our own words.
"""

from __future__ import annotations

CRITERIA = {
    1: "Homogeneous, bright white disc; nucleus and annulus clearly distinct; normal height.",
    2: "Inhomogeneous, with or without horizontal bands; nucleus and annulus clearly distinct; bright; normal height.",
    3: "Inhomogeneous, grey; nucleus and annulus not clearly distinct; height normal or slightly reduced.",
    4: "Inhomogeneous, grey to black; nucleus and annulus not distinct; height normal to moderately reduced.",
    5: "Black; nucleus and annulus not distinct; disc space collapsed.",
}
"""What is seen on a T2-weighted image, by grade; bright means as bright as the fluid in the canal."""

SIZE_PX = (192, 120)
"""Width and height of a drawing; shown at half that size."""
