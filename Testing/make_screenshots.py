"""Pictures of the panel in each state, from the test host: ``python Testing/make_screenshots.py FOLDER``.

Only the built-in sample is shown. ``--dark`` and ``--scale 1.5`` give the other palette and scale.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

MODULE = Path(__file__).resolve().parent.parent / "LumbarDiscGrading" / "LumbarDiscGrading.py"
WIDTH = 400
"""Slicer's module panel is about so wide on a small screen."""
VIEW_WIDTH = 560


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
        for name in ("input", "models", "result", "correct", "takeAway", "criteria"):
            getattr(self.ui, f"{name}CollapsibleButton").collapsed = name not in names
        self.host.process_events()

    def finish(self) -> None:
        self.host.wait_until(lambda: not self.host.widget.panel.run.running)
        self.host.process_events()

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
        self.open_only("input", "result", "correct", "takeAway")
        ui.gradeDiscsButton.click()
        host.wait_until(lambda: ui.progressBar.value >= 20 or not host.widget.panel.run.running)
        self.take("panel_running")
        self.finish()
        self.take("panel_result")
        self.side_by_side("slicer_result", "panel_result")
        self.select("L4-L5")
        ui.grade4Button.click()
        self.select("L5-S1")
        ui.notAssessableButton.click()
        self.select("L4-L5")
        self.take("panel_corrected")
        self.side_by_side("slicer_corrected", "panel_corrected")
        ui.undoButton.click()
        ui.undoButton.click()
        volume_node_from(lumbar_phantom().volume, "T1 sagittal", host.scene)
        host.process_events()
        ui.inputSelector.setCurrentNode(host.scene.GetFirstNodeByName("T1 sagittal"))
        host.widget.panel.run.say("")
        self.open_only("input")
        self.take("panel_doubt")

    def side_by_side(self, name: str, panel: str) -> None:
        """Put the panel beside the sagittal view, as Slicer shows them."""
        from PIL import Image

        with Image.open(self.folder / f"{panel}{self.suffix}.png") as opened:
            left = opened.convert("RGB")
        size = round(VIEW_WIDTH * self.scale), left.height
        view = Image.fromarray(self.host.app.layoutManager().sliceWidget("Yellow").picture(*size))
        canvas = Image.new("RGB", (left.width + view.width, left.height))
        canvas.paste(left, (0, 0))
        canvas.paste(view, (left.width, 0))
        path = self.folder / f"{name}{self.suffix}.png"
        canvas.save(path)
        shrink(path)


def dark_palette(qt: Any) -> Any:
    """Return a palette like that of Slicer's dark style."""
    palette = qt.QPalette()
    roles = qt.QPalette
    colors = {
        roles.Window: 53, roles.WindowText: 235, roles.Base: 35, roles.AlternateBase: 45, roles.Text: 235,
        roles.Button: 60, roles.ButtonText: 235, roles.ToolTipBase: 60, roles.ToolTipText: 235,
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
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    wanted = f"{arguments.scale:g}"
    if os.environ.get("QT_SCALE_FACTOR", "1") != wanted:  # Qt reads it when it starts
        environment = {**os.environ, "QT_SCALE_FACTOR": wanted}
        return subprocess.call([sys.executable, *sys.argv], env=environment)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    photographer = Photographer(arguments.folder, arguments.dark, arguments.scale)
    photographer.all_states()
    problems = photographer.host.violations()
    photographer.host.close()
    print("\n".join(problems) or f"written to {arguments.folder}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
