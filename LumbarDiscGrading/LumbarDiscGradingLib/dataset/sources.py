"""Public data sets that can be imported: their licences and how they must be cited."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublicSource:
    """Licence and citation of a public data set."""

    licence: str
    attribution: str


KNOWN_SOURCES = {
    "spider_space": PublicSource(
        "CC BY 4.0",
        "SPIDER: van der Graaf et al., Lumbar spine segmentation in MR images: a dataset and a public benchmark, "
        "Sci Data 11:264 (2024), doi 10.1038/s41597-024-03090-w; data doi 10.5281/zenodo.10159290.",
    ),
    "sudirman_t2": PublicSource(
        "CC BY 4.0",
        "Sudirman et al., Lumbar Spine MRI Dataset, Mendeley Data V2 (2019), doi 10.17632/k57fr854j2.2; grades: "
        "LSMA-PQR, Masood, Taj et al., Mendeley Data, doi 10.17632/p3r4xd2488.2; points of the discs: "
        "LumbarCoordinates (MIT licence).",
    ),
    "spider_t2": PublicSource(
        "CC BY 4.0",
        "SPIDER: van der Graaf et al., Lumbar spine segmentation in MR images: a dataset and a public benchmark, "
        "Sci Data 11:264 (2024), doi 10.1038/s41597-024-03090-w; data doi 10.5281/zenodo.10159290; points of the "
        "discs: LumbarCoordinates (MIT licence).",
    ),
}
"""By the name of the data set, which is also that of its frozen splits."""
