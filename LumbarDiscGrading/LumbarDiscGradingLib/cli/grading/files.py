"""The files of a result, moved into the output folder when all are there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...grading.evidence import EvidenceMap
    from ...grading.result import GradingResult
    from ...headless.core import SlicerCore

RESULT_ENDING = "_result.json"
ENDINGS = ("_discs.seg.nrrd", "_grades.csv", "_overview.png", RESULT_ENDING)
EVIDENCE_ENDINGS = ("_evidence.png", "_evidence.nrrd")
DICOM_ENDINGS = ("_seg.dcm", "_report.dcm")
SCENE_ENDING = ".mrb"


def endings(scene: bool, evidence: bool, dicom: bool) -> tuple[str, ...]:
    """Return how the names of the files of a result end, the last one to appear at the end."""
    return (
        *(EVIDENCE_ENDINGS if evidence else ()),
        *(DICOM_ENDINGS if dicom else ()),
        *((SCENE_ENDING,) if scene else ()),
        *ENDINGS,
    )


class ResultFiles:
    """Writes the files of results, those of a result all or none; the JSON is the last to appear.

    Parameters
    ----------
    folder : Path
    scene, evidence, dicom : bool
        What is written beside the files of every result.
    workplace : Path, optional
        Where files are made, on the disk of `folder`; a folder inside `folder` by default.
    """

    def __init__(self, folder: Path, scene: bool, evidence: bool, dicom: bool, workplace: Path | None = None) -> None:
        self.folder, self.scene, self.evidence, self.dicom = folder, scene, evidence, dicom
        self.workplace = workplace or folder
        self._core: SlicerCore | None = None

    def close(self) -> None:
        """Close Slicer's core, if one was needed."""
        if self._core is not None:
            self._core.close()
            self._core = None

    def write(self, result: GradingResult, stem: str, evidence: EvidenceMap | None = None) -> None:
        """Write the files of a result.

        Raises
        ------
        UserError, OSError
            If they cannot be written.
        """
        from ...headless.core import SlicerCore
        from ...report import evidence_picture, overview, tables
        from ...scene import files

        if self._core is None:
            self._core = SlicerCore()
        with tempfile.TemporaryDirectory(prefix=".grading-", dir=self.workplace) as partial_name:
            partial = Path(partial_name)
            files.write_segmentation(result, partial / f"{stem}_discs.seg.nrrd", self._core)
            tables.write_grades_csv(result, partial / f"{stem}_grades.csv")
            tables.write_result_json(result, partial / f"{stem}{RESULT_ENDING}")
            overview.save(result, partial / f"{stem}_overview.png")
            if evidence is not None:
                evidence_picture.save_picture(result, evidence, partial / f"{stem}_evidence.png")
                evidence_picture.save_volume(evidence, partial / f"{stem}_evidence.nrrd")
            if self.dicom:
                from ...report.dicom.writing import write_dicom

                write_dicom(result, partial / f"{stem}_seg.dcm", partial / f"{stem}_report.dcm")
            if self.scene:
                files.write_scene(result, partial / f"{stem}{SCENE_ENDING}", self._core, evidence)
            (self.folder / f"{stem}{RESULT_ENDING}").unlink(missing_ok=True)  # whose files are about to go
            for ending in endings(self.scene, self.evidence, self.dicom):
                os.replace(partial / f"{stem}{ending}", self.folder / f"{stem}{ending}")
