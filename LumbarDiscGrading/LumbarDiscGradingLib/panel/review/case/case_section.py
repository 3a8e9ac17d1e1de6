"""`CaseSection`: a case that is open in the panel, the same whether it is read, reviewed or adjudicated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from ....annotation.errors import StudyError
from ....annotation.work.case_at_hand import CaseAtHand
from ....annotation.work.session import ReaderSession
from ....annotation.work.work_item import WorkItem
from ....scene.study.case_scene import CaseScene
from ....scene.study.layout import ReadingLayout
from ...shared.refusals import refusals_told
from ...shared.timers import every, once_after
from ..key_bindings import KeyBindings
from .drawing import DiscDrawing
from .questions import ask_reason, confirm_empty
from .save_elsewhere import rescue
from .save_state import Outcome, SaveState
from .words import elsewhere_sentence, plain

FIT_DELAY_MS = 100
"""Views have taken their new sizes so long after the layout changed."""
KEEP_ALIVE_MS = 60_000


class CaseSection(ABC):
    """Shows a case and takes what the reader does to it; everything is saved at once.

    A section derived from it makes its parts, `drawing` and `keys` among them, and shows them.

    Parameters
    ----------
    ui : object
        The section's widgets by name, those of `SaveState` among them.
    message : QLabel
    sign_button, reopen_button : QPushButton
    signed : callable
        Called after the case was signed: the next one is to be opened.

    Attributes
    ----------
    work : CaseAtHand or None
    scene : CaseScene or None
    """

    drawing: DiscDrawing
    keys: KeyBindings

    def __init__(self, ui: Any, message: Any, sign_button: Any, reopen_button: Any, signed: Callable[[], None]) -> None:
        self.ui, self._message, self._sign_button, self._signed = ui, message, sign_button, signed
        self.work: CaseAtHand | None = None
        self.scene: CaseScene | None = None
        self._entered = False
        self.save = SaveState(ui, self._flush_parts, self._reloaded, lambda: self.pending, self.say)
        self._layout = ReadingLayout(slicer.mrmlScene)
        self._fit_timer = once_after(FIT_DELAY_MS, self._fit)
        self._alive_timer = every(KEEP_ALIVE_MS, self._keep_alive)
        sign_button.connect("clicked()", self.sign)
        reopen_button.connect("clicked()", self._reopen)

    # -- the life of a case

    def open(self, session: ReaderSession, item: WorkItem, place: str = "") -> None:
        """Open a case and show it; what is open is closed first.

        Parameters
        ----------
        place : str
            Where it stands in the work list, in words.

        Raises
        ------
        StudyError
            If this reader may not, files are damaged, or what is open cannot be saved.
        """
        if not self.close():
            raise StudyError(_("The case that is open is not saved; save it, here or elsewhere, first."))
        work = session.open_item(item)
        try:
            work.volume  # noqa: B018 - reading the image may fail
        except StudyError:
            work.close(discard=True)
            raise
        self.work = work
        self.say("")
        self._show_section(place)
        self._show_in_scene()
        self.save.show(work)
        self._alive_timer.start()
        self._show_all()
        self._select((*work.open_levels, *work.levels)[0])
        if work.open_elsewhere is not None:
            self.say(elsewhere_sentence(work.open_elsewhere))
        elif work.recovered:
            self.say(_("Recovered: this is what was saved when the program ended without closing the case."))

    def enter(self) -> None:
        """Take the keys and the layout."""
        self._entered = True
        if self.work is not None:
            self._take_layout()
        self._show_keys()

    def exit(self) -> None:
        """Save what is not saved, and leave keys and views to others; the case stays open."""
        self._entered = False
        self.drawing.stop()
        self.flush()
        self.restore_layout()
        self._show_keys()

    @property
    @abstractmethod
    def pending(self) -> bool:
        """Whether something was drawn or typed that the case has not been given yet."""

    @property
    def has_unsaved(self) -> bool:
        """Whether something is not on the disk."""
        return self.work is not None and (self.work.has_unsaved or self.pending)

    def flush(self) -> bool:
        """Save everything that is still in the scene or a text field; returns whether all is on the disk."""
        if self.work is None:
            return True
        self._flush_parts()
        return not self.work.has_unsaved

    def close(self, force: bool = False) -> bool:
        """Save and close the case and take it out of the scene.

        Parameters
        ----------
        force : bool
            Close even if something could be saved neither in the study nor elsewhere.

        Returns
        -------
        bool
            False if something is not saved; the case stays open then.
        """
        work = self.work
        if work is None:
            return True
        self.drawing.stop()
        if not self.flush() and not work.kept_elsewhere and not force and not self.save.try_again():
            self.say(_("This case is not saved; save it, here or elsewhere, before going on."))
            return False
        with refusals_told(lambda sentence: self.say(plain(work.item, sentence))):
            work.close(discard=True)  # what is not in the study is elsewhere, or nothing can be done about it
            self._forget()
            return True
        return False

    def leave_scene(self) -> None:
        """Save what the scene has of the case before its nodes go."""
        if self.work is not None and self.scene is not None:
            self.drawing.stop()
            self.flush()
            self.drawing.show(self.work, None)

    def restore_scene(self) -> None:
        """Show the case in the scene anew after the scene was closed."""
        if self.work is not None and self.scene is not None and not self.scene.is_alive():
            self.scene.remove()
            self._show_in_scene()
            self._show_all()

    def restore_layout(self) -> None:
        """Show the user's own layout while no case is open."""
        self._layout.give_back()

    def dispose(self) -> None:
        """End with the panel; what cannot be saved in the study is kept in the user's home folder."""
        self.exit()
        if self.work is not None and self.has_unsaved and not self.work.kept_elsewhere:
            rescue(self.work)
        self.close(force=True)
        self.keys.close()

    # -- what the reader does

    def sign(self) -> None:
        """Sign the case and go on to the next, or say what is missing."""
        work = self.work
        if work is None or work.is_signed:
            return
        self.drawing.stop()
        if not self.flush() and not self.save.try_again():
            return
        empty = work.empty_levels
        if empty and not confirm_empty(self._sign_button, empty):
            self._select(empty[0])
        elif self.save.save_by(work.sign, empty) is Outcome.SAVED:
            self._signed()

    def say(self, text: str) -> None:
        """Tell the reader a sentence about the case."""
        self._message.text = text
        self._message.visible = bool(text)

    def _reopen(self) -> None:
        work = self.work
        if work is None or not work.is_signed:
            return
        reason = ask_reason(self._sign_button, _("Reopen"), _("Why is the signature taken back?"))
        if reason is not None and self.save.save_by(work.reopen, reason) is Outcome.SAVED:
            self.say("")
            self._show_all()

    def _toggle_shown(self) -> None:
        if self.scene is not None and self.scene.is_alive():
            self.scene.toggle_shown()

    # -- what happens

    def _take_layout(self) -> None:
        if self._layout.take(self._side_by_side):
            self._fit_timer.start()

    @property
    def _side_by_side(self) -> bool:
        """Whether two views are needed."""
        return False

    def _fit(self) -> None:
        if self.scene is not None and self.scene.is_alive():
            self.scene.fit()

    def _keep_alive(self) -> None:
        if self.work is not None:
            self.work.keep_alive()

    def _show_in_scene(self) -> None:
        self.scene = self._make_scene()
        if self._entered:
            self._take_layout()
        self.drawing.show(self.work, self.scene)

    def _forget(self) -> None:
        """Forget the case and take it out of the scene."""
        self._alive_timer.stop()
        self._fit_timer.stop()
        scene, self.scene, self.work = self.scene, None, None
        self.drawing.show(None, None)
        self.save.show(None)
        self.say("")
        if scene is not None:
            scene.remove()
        self._hide_section()
        self._show_keys()

    # -- the parts of a section

    @abstractmethod
    def _show_section(self, place: str) -> None: ...

    @abstractmethod
    def _hide_section(self) -> None: ...

    @abstractmethod
    def _make_scene(self) -> CaseScene: ...

    @abstractmethod
    def _show_all(self) -> None: ...

    @abstractmethod
    def _show_keys(self) -> None: ...

    @abstractmethod
    def _select(self, level: str) -> None: ...

    @abstractmethod
    def _flush_parts(self) -> None: ...

    def _reloaded(self) -> None:
        self.drawing.rewrite()
        self._show_all()
