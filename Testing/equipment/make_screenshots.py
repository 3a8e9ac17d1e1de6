"""Pictures of the panel in each state, from the test host: ``python Testing/equipment/make_screenshots.py FOLDER``.

Only the built-in sample is shown. ``--dark`` and ``--scale 1.5`` give the other palette and scale.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULE = Path(__file__).resolve().parents[2] / "LumbarDiscGrading" / "LumbarDiscGrading.py"
WIDTH = 400
"""Slicer's module panel is about so wide on a small screen."""
VIEW_WIDTH, PANEL_HEIGHT = 560, 620


class Photographer:
    """Brings the panel into its states and takes pictures."""

    def __init__(self, folder: Path, dark: bool, scale: float) -> None:
        from slicer_host.application import SlicerHost

        self.folder = folder
        self.suffix = ("_dark" if dark else "") + (f"_{round(100 * scale)}" if scale != 1 else "")
        self.host = SlicerHost(MODULE)
        self.scale = scale
        if dark:
            self.host.qt_application.setStyle("Fusion")
            self.host.qt_application.setPalette(dark_palette(self.host.qt))
        self.host.open(WIDTH, 600)
        self.ui = self.host.ui

    def take(self, name: str) -> Any:
        """Save the whole panel under a name and return it as a picture."""
        self.host.process_events()
        panel = self.host.representation
        for _ in range(3):  # labels that wrap need a second look at their width
            panel.resize(WIDTH, panel.layout().totalHeightForWidth(WIDTH))
            self.host.process_events()
        picture = panel.grab()
        path = self.folder / f"{name}{self.suffix}.png"
        picture.save(str(path))
        shrink(path)
        return path

    def open_only(self, *names: str) -> None:
        """Fold every section but these away."""
        for name in ("input", "models", "save", "criteria"):
            getattr(self.ui, f"{name}CollapsibleButton").collapsed = name not in names
        self.host.process_events()

    def finish(self) -> None:
        self.host.wait_until(lambda: not self.host.widget.panel.run.running)
        self.host.process_events()

    def fit(self) -> None:
        self.host.widget.panel._fit()

    def select(self, level: str) -> None:
        self.host.widget.panel.result.select(level)
        self.host.process_events()

    def all_states(self) -> None:
        from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
        from LumbarDiscGradingLib.scene.volumes import volume_node_from

        host, ui = self.host, self.ui
        self.open_only("input", "criteria")
        self.take("panel_empty")
        ui.loadSampleButton.click()
        self.finish()
        self.open_only("input", "models")
        ui.modelCardButton.click()
        self.take("panel_models")
        ui.modelCardButton.click()
        self.open_only("input", "save")
        host.app.layoutManager().sliceWidget("Yellow").picture(VIEW_WIDTH, PANEL_HEIGHT)
        ui.gradeDiscsButton.click()
        host.wait_until(lambda: ui.progressBar.value >= 20 or not host.widget.panel.run.running)
        self.take("panel_running")
        self.finish()
        self.take("panel_result")
        self.side_by_side("slicer_result", "panel_result", self.fit)
        self.select("L4-L5")
        ui.grade3Button.click()
        self.select("L5-S1")
        ui.notAssessableButton.click()
        self.select("L4-L5")
        self.take("panel_corrected")
        self.side_by_side("slicer_corrected", "panel_corrected", self.fit)
        self.select("L3-L4")
        ui.noDiscButton.click()
        self.take("panel_missing")
        self.side_by_side("slicer_missing", "panel_missing", self.fit)
        for _ in range(3):
            ui.undoButton.click()
        volume_node_from(lumbar_phantom().volume, "T1 sagittal", host.scene)
        host.process_events()
        ui.inputSelector.setCurrentNode(host.scene.GetFirstNodeByName("T1 sagittal"))
        host.widget.panel.run.say("")
        self.open_only("input")
        self.take("panel_doubt")
        self.all_volumes()

    def all_volumes(self) -> None:
        """Pictures of *Grade all loaded T2 volumes*: three patients, one of them with half of the spine, and a T1."""
        from dataclasses import replace

        from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom

        host, ui = self.host, self.ui
        host.scene.Clear(0)
        host.process_events()
        first, second = (lumbar_phantom(seed).volume for seed in (0, 5))
        upper = replace(first, voxels=first.voxels[:, : 2 * first.voxels.shape[1] // 3])
        volumes = {"Case 1 T2 sag": first, "Case 1 T1 sag": first, "Case 2 T2 sag": second, "Case 3 T2 sag": upper}
        for name, volume in volumes.items():
            host.load_volume(volume, name)
        self.open_only("input")
        ui.gradeMenuButton.menu().actions()[0].trigger()
        host.wait_until(lambda: host.widget.panel.all.place[0] == 2 and ui.progressBar.value >= 50)
        self.take("panel_all_running")
        self.finish()
        self.take("panel_all")

    def review_states(self) -> None:
        """Pictures of the mode Annotation Review, on a study of sample images."""
        with tempfile.TemporaryDirectory() as folder:
            study = sample_study(Path(folder) / "study")
            self.host.widget.modes.show(1)
            panel = self.host.widget.modes.review
            ui = panel.ui

            def open_as(reader: str, shown: str) -> None:
                ui.studyCollapsibleButton.collapsed = False
                panel.study.list_readers(str(study))
                ui.studyFolderEdit.text = shown
                ui.readerComboBox.setCurrentIndex(ui.readerComboBox.findData(reader))
                ui.openStudyButton.click()
                self.host.process_events()

            open_as("carl", "/studies/spine")
            ui.studyCollapsibleButton.collapsed = False
            self.take("review_work_list")
            ui.studyCollapsibleButton.collapsed = True
            panel.open_next()
            discs = panel.reading.discs
            discs.grade_setter(3)()
            discs.select("L4-L5")
            self.take("review_reading")
            self.side_by_side("slicer_reading", "review_reading", panel.reading.scene.fit)
            panel.close_case()
            open_as("ben", "/studies/spine")
            panel.open_next()
            for _ in range(2):
                discs.accept()
            self.correct_disc(panel.reading, "L3-L4")
            discs.go_on()
            self.take("review_peer")
            self.side_by_side("slicer_peer", "review_peer", panel.reading.scene.fit)
            panel.close_case()
            self.host.widget.modes.show(0)

    def correct_disc(self, reading: Any, level: str) -> None:
        """Draw a disc a little larger, as with the Segment Editor."""
        import numpy as np

        from LumbarDiscGradingLib.pfirrmann import DISC_LABELS

        masks, value = reading.work.masks.copy(), DISC_LABELS[level]
        disc = masks == value
        masks[np.logical_or(np.roll(disc, 1, axis=2), np.roll(disc, -1, axis=2)) & (masks == 0)] = value
        reading.scene.write_masks(masks)
        reading.masks.flush()
        reading.discs.select(level)

    def side_by_side(self, name: str, panel: str, fit: Callable[[], None] | None = None) -> None:
        """Put the panel beside the sagittal view, as Slicer shows them, fitted to its size if asked for."""
        from PIL import Image

        with Image.open(self.folder / f"{panel}{self.suffix}.png") as opened:
            left = opened.convert("RGB")
        size = round(VIEW_WIDTH * self.scale), left.height
        widget = self.host.app.layoutManager().sliceWidget("Yellow")
        if fit is not None:
            widget.picture(*size)
            fit()
        view = Image.fromarray(widget.picture(*size))
        canvas = Image.new("RGB", (left.width + view.width, left.height))
        canvas.paste(left, (0, 0))
        canvas.paste(view, (left.width, 0))
        path = self.folder / f"{name}{self.suffix}.png"
        canvas.save(path)
        shrink(path)


def sample_study(folder: Path) -> Path:
    """Make a study of sample images: masks drawn by one reader, some of them reviewed, graded by two."""
    import numpy as np

    from LumbarDiscGradingLib.annotation.protocol import Protocol, Reader, Role, Task
    from LumbarDiscGradingLib.annotation.study.study import Study
    from LumbarDiscGradingLib.annotation.work.session import ReaderSession
    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
    from LumbarDiscGradingLib.pfirrmann import LEVELS_BY_LABEL

    readers = (
        Reader("anna", (Role.ANNOTATOR,), 3),
        Reader("ben", (Role.PEER_REVIEWER,), 8),
        Reader("carl", (Role.GRADER,), 5),
        Reader("dora", (Role.GRADER,), 15),
        Reader("emil", (Role.ADJUDICATOR,), 20),
    )
    study = Study.create(folder, Protocol("Spine", readers, graders_see_masks=True, order_seed=4))
    phantom = lumbar_phantom()
    lumbar = [value for value, level in LEVELS_BY_LABEL.items() if level in study.protocol.levels]
    masks = phantom.mask.copy()
    masks[~np.isin(masks, lumbar)] = 0
    middle = phantom.volume.middle_slice_index
    masks[np.abs(np.arange(len(masks)) - middle) > 1] = 0
    for _ in range(12):
        study.add_case(phantom.volume)
    for case in study.case_ids:
        with ReaderSession.open(folder, "anna").open_case(case) as opened:
            opened.set_masks(masks, seconds=240.0)
            opened.sign(Task.MASKS)
    carl = ReaderSession.open(folder, "carl")
    order = [item.case for item in carl.work_list(Task.GRADES)]
    for case in [case for case in study.case_ids if case != order[-1]]:
        review = ReaderSession.open(folder, "ben").open_review(case, "anna")
        for level in study.protocol.levels:
            review.accept(level, seconds=20.0)
        review.sign()
        review.close()
    for number, case in enumerate(order[:4]):
        with carl.open_case(case) as opened:
            for level, grade in zip(study.protocol.levels[: 5 if number < 3 else 2], (1, 2, 3, 4, 5), strict=False):
                opened.grade(level, grade, seconds=17.0 + 2 * number)
            if number < 3:
                opened.sign(Task.GRADES)
    return folder


def dark_palette(qt: Any) -> Any:
    """Return a palette like that of Slicer's dark style."""
    palette = qt.QPalette()
    roles = qt.QPalette
    colors = {
        roles.Window: 53, roles.WindowText: 235, roles.Base: 35, roles.AlternateBase: 45, roles.Text: 235,
        roles.Button: 60, roles.ButtonText: 235, roles.ToolTipBase: 60, roles.ToolTipText: 235,
        roles.PlaceholderText: 150,
    }  # fmt: skip
    for role, grey in colors.items():
        palette.setColor(role, qt.QColor(grey, grey, grey))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(roles.Disabled, role, qt.QColor(130, 130, 130))
    palette.setColor(roles.Highlight, qt.QColor(42, 110, 170))
    palette.setColor(roles.HighlightedText, qt.QColor(255, 255, 255))
    return palette


def shrink(path: Path) -> None:
    """Store a picture in 256 colours, those of the groups exact, so that the repository stays small."""
    from PIL import Image

    from LumbarDiscGradingLib.pfirrmann import GROUPS, NOT_GRADED_COLOR

    with Image.open(path) as picture:
        full = picture.convert("RGB")
    exact = [*(group.color for group in GROUPS), NOT_GRADED_COLOR]
    colors = list(exact)
    colors += [(grey, grey, grey) for grey in range(0, 256, 3)]
    for color in exact:  # discs in the slice view: the fill over each grey
        for share in (0.25, 0.09):
            fills = [tuple(round(share * c + (1 - share) * grey) for c in color) for grey in range(0, 256, 18)]
            colors += fills[: 15 if share > 0.1 else 5]
    panel = full.crop((0, 0, 400, full.height)).quantize(256 - len(colors)).getpalette()
    palette = [*(channel for color in colors for channel in color), *panel][: 3 * 256]
    of_these = Image.new("P", (1, 1))
    of_these.putpalette(palette)
    full.quantize(palette=of_these, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--review-only", action="store_true", help="only the mode Annotation Review")
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    wanted = f"{arguments.scale:g}"
    if os.environ.get("QT_SCALE_FACTOR", "1") != wanted:  # Qt reads it when it starts
        environment = {**os.environ, "QT_SCALE_FACTOR": wanted}
        return subprocess.call([sys.executable, *sys.argv], env=environment)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    photographer = Photographer(arguments.folder, arguments.dark, arguments.scale)
    if not arguments.review_only:
        photographer.all_states()
    photographer.review_states()
    problems = photographer.host.violations()
    photographer.host.close()
    print("\n".join(problems) or f"written to {arguments.folder}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
