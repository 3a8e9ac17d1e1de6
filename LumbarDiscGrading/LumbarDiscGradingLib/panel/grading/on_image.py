"""What is written over the image: the names of the discs, and where the graded slice is."""

from __future__ import annotations

from collections.abc import Callable

from slicer.i18n import tr as _

from ...imaging.volume import ImagingError
from ...scene.graded_case import GradedCase
from ...scene.show import READING_VIEW
from ...scene.viewed_slice import viewed_slice
from ..shared.disc_names import DiscNames, ShownSlice
from ..shared.view_note import ViewNote
from .name_marks import name_marks


class OnImage:
    """Writes over the slice views.

    Parameters
    ----------
    back : callable
        Called when the user wants the graded slice again.
    """

    def __init__(self, back: Callable[[], None]) -> None:
        self.names, self.note = DiscNames(), ViewNote(at_bottom=True, clicked=back)

    def show(self, case: GradedCase, drawn: tuple[str, ...], chosen: str | None, drawing: str | None = None) -> None:
        """Show the names of a case where its discs are shown, and a way back where another slice is.

        Parameters
        ----------
        case : GradedCase
        drawn : tuple of str
            Levels whose masks were drawn since they were graded.
        chosen : str or None
            Level of the selected row.
        drawing : str or None
            Missing level that is being drawn.
        """
        try:
            viewed = viewed_slice(case.volumeNode)
        except ImagingError:  # the volume is none any more that could be graded, which the panel says
            self.clear()
            return
        result, display = case.result, case.segmentationNode.GetDisplayNode()
        visible = display is not None and bool(display.GetVisibility())
        apart = result.slices[-1] - result.slices[0]  # on each of the slices all discs are named
        shown = ShownSlice.of(case.volumeNode, result.volume, 2 * apart + 1)
        self.names.show(name_marks(result, drawn, drawing) if visible else (), shown, chosen)
        text = _("Graded on slice {slice}: click here to go back.").format(slice=result.stored_slice_index)
        self.note.show("" if viewed is None or viewed in result.slices else text, case.volumeNode, READING_VIEW)

    def clear(self) -> None:
        """Take everything away."""
        self.names.clear()
        self.note.clear()
