"""The self-test of the module inside Slicer: what a reader does from the first volume to the signed consensus.

Each step is printed, so that whoever follows in the Python console knows where it is. After each test Slicer's log is
looked through: a traceback or a warning of Qt fails the test that it came with.
"""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer

from ..pfirrmann import LUMBAR_LEVELS, ROMAN_GRADES, group_of_grade
from .self_test_log import LogWatch
from .self_test_user import PanelUser, go_to, grown, selected_module
from .shared.dependencies import installed

LOG_S = 0.3
"""Slicer's log takes entries up by its event loop; those of the last step come within this time."""
SETTLE_S = 4.0
"""The panel looks so long whether another series of a study comes."""
SETTINGS = "LumbarDiscGrading/"
FIRST, SECOND = "A T2 sag", "B T2 sag"

if TYPE_CHECKING:
    from unittest import TestCase as _WithSlicersTestCase
else:
    _WithSlicersTestCase = object


class SelfTest(_WithSlicersTestCase):
    """The tests; `LumbarDiscGradingTest` joins them with Slicer's test case.

    The scene is empty before and after each; settings, layout and module are those of before at the end. What needs
    the networks is skipped where they or PyTorch are missing, what needs the panel where there is none.

    Attributes
    ----------
    logicClass : type
        `LumbarDiscGradingLogic`.
    """

    logicClass: Any
    _samples: dict[int, Any] = {}

    # -- before and after

    @classmethod
    def setUpClass(cls) -> None:
        """See to it that module, layout and settings are as before at the end."""
        super().setUpClass()
        cls.addClassCleanup(_restore_settings, _settings())
        layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout is not None:
            cls.addClassCleanup(layout.SetViewArrangement, layout.GetViewArrangement())
        if selected_module():
            cls.addClassCleanup(go_to, selected_module())

    def setUp(self) -> None:
        """Start from an empty scene, with the log as it is now."""
        self._step(f"{self.id().split('.')[-1].replace('_', ' ')}:")
        self._log = LogWatch(slicer.app.errorLogModel())
        self.user = PanelUser()
        slicer.mrmlScene.Clear()
        self.user.look()

    def tearDown(self) -> None:
        """Leave an empty scene; fail for what was logged meanwhile."""
        slicer.mrmlScene.Clear()
        self.user.look(LOG_S)
        faults = dict.fromkeys(self._log.faults())
        if faults:
            self.fail("\n".join(["Slicer's log has what must not be there:", *faults]))

    def runTest(self) -> None:
        """Run all tests, as the button *Test* of the developer mode does."""
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(type(self))
        outcome = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
        bad = [test.id().split(".")[-1] for test, _text in outcome.failures + outcome.errors]
        if bad:
            raise AssertionError(f"{len(bad)} of {outcome.testsRun} tests failed: {', '.join(bad)}; see above.")

    # -- without the panel

    def test_01_parameters_follow_the_scene(self) -> None:
        """The volume selected in the parameter node is kept in the scene, and none is left after that closes."""
        logic = self.logicClass()
        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T2")
        logic.getParameterNode().inputVolume = volumeNode
        self.assertEqual(logic.getParameterNode().inputVolume.GetID(), volumeNode.GetID())
        slicer.mrmlScene.Clear()
        self.assertIsNone(logic.getParameterNode().inputVolume)

    def test_02_what_is_not_sagittal_is_refused(self) -> None:
        """An axial stack raises one sentence for the user and leaves the scene as it was."""
        import numpy as np

        voxels = np.random.default_rng(7).integers(0, 900, (20, 64, 64), dtype=np.int16)
        volumeNode = slicer.util.addVolumeFromArray(voxels, ijkToRAS=np.diag([0.5, 0.5, 5.0, 1.0]))
        with self.assertRaisesRegex(ValueError, "No sagittal slices"):
            self.logicClass().process(volumeNode)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), 0)

    def test_03_a_script_grades_the_sample(self) -> None:
        """The logic gives the discs of the sample to a script, with a segment each."""
        from ..scene.sample import load_sample

        self._require_networks()
        results = self.logicClass().process(load_sample(slicer.mrmlScene))
        levels = [disc.level for disc in results.result.discs]
        self.assertEqual(tuple(levels[-5:]), LUMBAR_LEVELS)
        segmentation = results.segmentationNode.GetSegmentation()
        self.assertEqual(segmentation.GetNumberOfSegments(), len(levels))

    # -- Grade Discs

    def test_04_the_sample_is_graded_by_the_button(self) -> None:
        """The sample is loaded and graded by the panel's buttons; views, table and discs are those of the sample."""
        user = self._open_panel(networks=True)
        self._step("click Load sample")
        user.click("loadSampleButton")
        user.finish()
        name = user.volume().GetName()
        self._belongs_together(name, graded=False)
        self._step("click Grade Discs")
        user.click("gradeDiscsButton")
        self.assertEqual(user.ui.gradeDiscsButton.text, "Cancel")
        user.finish()
        self._belongs_together(name, graded=True)
        self.assertEqual(tuple(user.levels()[-5:]), LUMBAR_LEVELS)
        self.assertEqual(sorted(user.segments()), sorted(user.levels()))

    def test_05_a_second_patient_takes_the_panel_over(self) -> None:
        """What is shown belongs together: one volume, its image, its table and its discs only."""
        user = self._open_panel(networks=True)
        first = self._graded(FIRST)
        table = user.table()
        self._step("load a second patient")
        second = user.load(self._sample(1), SECOND)
        self._belongs_together(SECOND, graded=False)
        self._step("grade it")
        user.grade()
        self._belongs_together(SECOND, graded=True)
        self._step("choose the first patient again")
        user.choose(first)
        self._belongs_together(FIRST, graded=True)
        self.assertEqual(user.table(), table)
        self._step("choose the second one again")
        user.choose(second)
        self._belongs_together(SECOND, graded=True)

    def test_06_the_series_is_chosen_by_name(self) -> None:
        """Of a T1, a localizer and a T2 the T2 is picked and shown; a T1 that is selected is doubted."""
        user = self._open_panel()
        nodes = {}
        for name in ("2: t1_tse_sag", "3: t2_tse_sag", "4: localizer"):
            self._step(f"load {name}")
            nodes[name] = user.load(self._sample(), name)
        self._belongs_together("3: t2_tse_sag", graded=False)
        user.look(SETTLE_S)
        self._belongs_together("3: t2_tse_sag", graded=False)
        self.assertEqual(user.ui.inputDoubtsLabel.text, "")
        self._step("choose the T1")
        user.choose(nodes["2: t1_tse_sag"])
        self._belongs_together("2: t1_tse_sag", graded=False)
        self.assertIn("another contrast than T2", user.ui.inputDoubtsLabel.text)

    def test_07_the_series_is_chosen_by_its_header(self) -> None:
        """Of two DICOM series without descriptions the T2 is picked by its echo time, and the T1 is doubted."""
        from .self_test_dicom import write_study

        utilities = self._dicom_utilities()
        user = self._open_panel()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows keeps the database open
            files = Path(folder, "files")
            files.mkdir()
            self._step("write and import two DICOM series, TE 10 and TE 100 ms, without descriptions")
            uids = write_study(files, self._sample())
            with utilities.TemporaryDICOMDatabase(str(Path(folder, "database"))) as database:
                if not database.isOpen:
                    self._skip("no DICOM database could be opened")
                self.assertTrue(utilities.importDicom(str(files), database))
                ids = [name for patient in database.patients() for name in utilities.loadPatientByUID(patient)]
                loaded = {
                    name: _of_images([slicer.mrmlScene.GetNodeByID(id) for id in ids], uids[name]) for name in uids
                }
                self._step("look at what is picked")
                self._belongs_together(loaded["T2"].GetName(), graded=False)
                user.look(SETTLE_S)
                self._belongs_together(loaded["T2"].GetName(), graded=False)
                self.assertEqual(user.ui.inputDoubtsLabel.text, "")
                self._step("choose the T1")
                user.choose(loaded["T1"])
                self.assertIn("T1", user.ui.inputDoubtsLabel.text)
                slicer.mrmlScene.Clear()
                user.look()

    def test_08_a_grade_is_corrected_and_taken_back(self) -> None:
        """A grade set by a button is in table, report and color, and gone after Undo."""
        user = self._open_panel(networks=True)
        self._graded(FIRST)
        table, segments = user.table(), user.segments()
        grade = 1 if user.row("L3-L4")[2] in ("IV", "V") else 5
        self._step(f"set L3-L4 to grade {ROMAN_GRADES[grade]}")
        user.select("L3-L4")
        user.click(f"grade{grade}Button")
        self.assertEqual(user.row("L3-L4")[2], ROMAN_GRADES[grade])
        self.assertIn("set by reader", user.row("L3-L4")[3])
        line = next(line for line in user.report().splitlines() if line.startswith("L3-L4"))
        self.assertIn(f"Pfirrmann {ROMAN_GRADES[grade]} set by reader", line)
        self.assertEqual(user.segments()["L3-L4"], (True, group_of_grade(grade).color))
        self._step("take it back")
        user.click("undoButton")
        self.assertEqual(user.table(), table)
        self.assertEqual(user.segments(), segments)
        self.assertNotIn("set by reader", user.report())

    def test_09_a_level_is_changed_and_taken_back(self) -> None:
        """A disc that gets another level stays drawn, as all others do."""
        user = self._open_panel(networks=True)
        self._graded(FIRST)
        table, segments = user.table(), user.segments()
        self._step("set L5-S1 to L6-S1")
        user.select("L5-S1")
        user.set_level("L6-S1")
        self.assertIn("L6-S1", user.levels())
        self.assertIn("L6-S1", user.segments())
        self.assertNotIn("L5-S1", user.segments())
        self.assertEqual([name for name, (shown, _color) in user.segments().items() if not shown], [])
        self._step("take it back")
        user.click("undoButton")
        self.assertEqual(user.table(), table)
        self.assertEqual(user.segments(), segments)

    def test_10_a_mask_is_drawn(self) -> None:
        """A drawn mask is graded again and can be taken back; a segment of the user's own is left alone."""
        user = self._open_panel(networks=True)
        self._graded(FIRST)
        table, mask = user.table(), user.mask("L3-L4")
        self._step("edit the mask of L3-L4")
        user.select("L3-L4")
        user.click("editMaskButton")
        self.assertIsNotNone(user.ui.segmentEditorWidget.mrmlSegmentEditorNode())
        user.draw("L3-L4", grown)
        self._step("grade it again")
        user.click("regradeButton")
        user.finish()
        self.assertIn("mask edited", user.ui.changesLabel.text)
        self.assertFalse(user.ui.editMaskButton.checked)
        self.assertGreater(int(user.mask("L3-L4").sum()), int(mask.sum()))
        self._step("take it back")
        user.click("undoButton")
        self.assertEqual(user.table(), table)
        self.assertTrue((user.mask("L3-L4") == mask).all())
        self._step("add a segment by hand and correct a grade")
        user.add_segment("drawn by hand", mask)
        user.select("L4-L5")
        user.click("grade5Button")
        self.assertEqual(user.row("L4-L5")[2], "V")
        self.assertTrue((user.mask("drawn by hand") == mask).all())

    def test_11_a_scene_is_saved_and_loaded(self) -> None:
        """A corrected result comes back from a saved scene with its table, image and discs."""
        from ..scene.volumes import sagittal_volume_from_node

        user = self._open_panel(networks=True)
        image = sagittal_volume_from_node(self._graded(FIRST))
        user.select("L3-L4")
        user.click("grade5Button")
        user.select("L4-L5")
        seen = user.table(), user.segments()
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "case.mrb"))
            self._step("save the scene")
            self.assertTrue(slicer.util.saveScene(path))
            slicer.mrmlScene.Clear()
            user.look()
            self.assertEqual(user.table(), [])
            self._step("load it")
            slicer.util.loadScene(path)
            self._belongs_together(FIRST, graded=True)
        self.assertEqual((user.table(), user.segments()), seen)
        self.assertTrue((sagittal_volume_from_node(user.volume()).voxels == image.voxels).all())
        self._step("take the correction back, which the scene has kept")
        user.click("undoButton")
        self.assertNotIn("set by reader", user.report())

    # -- Annotation Review

    def test_12_a_study_is_read(self) -> None:
        """A case of a study is opened in Annotation Review, graded, signed and saved; no networks are needed."""
        from ..annotation.protocol import Protocol, Reader, Role, Task

        user = self._open_panel()
        readers = (Reader("anna", (Role.GRADER,)),)
        protocol = Protocol("Test", readers, tasks=(Task.GRADES,), double_grades=False, peer_review=False)
        with tempfile.TemporaryDirectory() as folder:
            review = self._open_study(self._study(folder, protocol), "anna")
            self._step("grade the discs of the next case")
            user.click(review.ui.nextToDoButton)
            self.assertEqual(review.reading.scene.volumeNode.GetName(), "C0001")
            for grade in (1, 2, 3, 4, 5):
                user.click(getattr(review.ui, f"readGrade{grade}Button"))
            self.assertIn("Saved", review.ui.saveStateLabel.text)
            self._step("sign")
            user.click(review.ui.signButton)
            self.assertEqual(review.ui.progressLabel.text, "1 of 1 signed")
            user.open()

    def test_13_a_disagreement_is_adjudicated(self) -> None:
        """Two readers disagree on one disc; an adjudicator settles it, and the consensus is as decided."""
        from ..annotation.protocol import Protocol, Reader, Role, Task
        from ..annotation.study.reference import consensus_grades
        from ..annotation.work.session import ReaderSession

        user = self._open_panel()
        roles = {"carl": Role.GRADER, "dora": Role.GRADER, "emil": Role.ADJUDICATOR}
        readers = tuple(Reader(name, (role,)) for name, role in roles.items())
        protocol = Protocol("Test", readers, tasks=(Task.GRADES,), peer_review=False)
        with tempfile.TemporaryDirectory() as folder:
            study = self._study(folder, protocol)
            self._step("two readers grade, and differ at L2-L3")
            for name, grades in (("carl", (1, 2, 3, 4, 5)), ("dora", (1, 3, 3, 4, 5))):
                with ReaderSession.open(study, name).open_case("C0001", 1) as case:
                    for level, grade in zip(LUMBAR_LEVELS, grades, strict=True):
                        case.grade(level, grade, assessable=True, seconds=2.0)
                    case.sign(Task.GRADES)
            review = self._open_study(study, "emil")
            user.click(review.ui.nextToDoButton)
            section = review.adjudication
            table = section.ui.disagreementTable
            self.assertEqual([table.item(row, 0).text() for row in range(table.rowCount)], ["L2-L3"])
            grade_of_a = section.work.disagreement("L2-L3").first
            self._step("accept reading A, give a reason and sign")
            user.click(section.ui.chooseAButton)
            section.ui.reasonComboBox.setEditText("signal")
            user.click(section.ui.signAdjudicationButton)
            agreed = consensus_grades(ReaderSession.open(study, "emil").states, "C0001")
            self.assertEqual(agreed, dict(zip(LUMBAR_LEVELS, (1, grade_of_a, 3, 4, 5), strict=True)))
            self.assertIsNone(section.work)
            user.open()

    def test_14_all_loaded_volumes_are_graded(self) -> None:
        """Two patients are graded by one click in the menu, a T1 is left out, and one table of all is shown."""
        from ..scene.table_of_all import table_of_all

        user = self._open_panel(networks=True)
        for seed, name in enumerate((FIRST, SECOND)):
            user.load(self._sample(seed), name)
        user.load(self._sample(), "A T1 sag")
        self._step("choose Grade all loaded T2 volumes in the menu")
        user.ui.gradeMenuButton.menu().actions()[0].trigger()
        self.assertEqual(user.ui.gradeDiscsButton.text, "Cancel")
        user.finish()
        table = table_of_all(slicer.mrmlScene).GetTable()
        names = [table.GetValueByName(row, "identifier").ToString() for row in range(table.GetNumberOfRows())]
        self.assertEqual(list(dict.fromkeys(names)), [FIRST, SECOND])
        self.assertEqual(user.ui.allVolumesTable.rowCount, 3)
        for name in (FIRST, SECOND):
            self._step(f"click {name} in the list")
            rows = [user.ui.allVolumesTable.item(row, 0).text() for row in range(3)]
            user.ui.allVolumesTable.selectRow(rows.index(name))
            self._belongs_together(name, graded=True)

    # -- last: the classes of the module are replaced

    def test_15_the_module_is_reloaded(self) -> None:
        """After a reload the panel shows the same and works."""
        user = self._open_panel(networks=True)
        self._graded(FIRST)
        user.select("L3-L4")
        user.click("grade5Button")
        seen, former = (user.table(), user.segments()), user.widget
        self._step("reload the module")
        user.reload()
        self.assertIsNot(user.widget, former)
        user.open()
        self._belongs_together(FIRST, graded=True)
        self.assertEqual((user.table(), user.segments()), seen)
        self._step("correct another grade, and take both back")
        user.open_sections()
        user.select("L4-L5")
        user.click("grade1Button")
        self.assertEqual(user.row("L4-L5")[2], "I")
        user.click("undoButton")
        self.assertEqual(user.table(), seen[0])
        user.click("undoButton")
        self.assertNotIn("set by reader", user.report())
        self._step("grade again")
        user.grade()
        self._belongs_together(FIRST, graded=True)

    # -- what the tests share

    def _step(self, text: str) -> None:
        print(f"LumbarDiscGradingTest: {text}")

    def _skip(self, why: str) -> None:
        self._step(f"skipped: {why}")
        self.skipTest(why)

    def _require_networks(self) -> None:
        from ..models.store import default_model_names

        if not installed():
            self._skip("PyTorch is not installed")
        if len(default_model_names()) < 2:
            self._skip("no trained models come with the module")

    def _dicom_utilities(self) -> Any:
        """Return Slicer's DICOM utilities; skip where it has none."""
        try:
            from DICOMLib import DICOMUtils
        except ImportError:
            self._skip("this Slicer was built without DICOM")
        if getattr(slicer, "dicomDatabase", None) is None:
            self._skip("this Slicer has no DICOM database")
        return DICOMUtils

    def _open_panel(self, networks: bool = False) -> PanelUser:
        if getattr(slicer.modules, "lumbardiscgrading", None) is None:
            self._skip("the module has no panel here")
        if networks:
            self._require_networks()
        self.user.open()
        self.user.open_sections()
        return self.user

    def _sample(self, seed: int = 0) -> Any:
        """Return the sample, or with another seed another patient; each is made once."""
        from ..imaging.phantom import lumbar_phantom

        if seed not in self._samples:
            self._samples[seed] = lumbar_phantom(seed).volume
        return self._samples[seed]

    def _graded(self, name: str) -> Any:
        """Load the sample under a name and grade it."""
        self._step(f"load {name} and grade it")
        node = self.user.load(self._sample(), name)
        self._belongs_together(name, graded=False)
        self.user.grade()
        self._belongs_together(name, graded=True)
        return node

    def _belongs_together(self, name: str, graded: bool) -> None:
        """Check that a volume is chosen, in the views and in the table, and only its discs are drawn."""
        self.user.wait_for(lambda: not self.user.complaints(name, graded))
        self.assertEqual(self.user.complaints(name, graded), [], self.user.ui.statusLabel.text)

    def _study(self, folder: str, protocol: Any) -> str:
        """Make a study of one case and return its folder."""
        from ..annotation.study.study import Study

        study = Study.create(f"{folder}/study", protocol)
        study.add_case(self._sample())
        return str(study.folder)

    def _open_study(self, folder: str, reader: str) -> Any:
        """Open a study in Annotation Review as a reader."""
        self._step(f"open the study as {reader}")
        review = self.user.open_review()
        review.study.list_readers(folder)
        combo = review.ui.readerComboBox
        combo.setCurrentIndex(combo.findData(reader))
        self.user.click(review.ui.openStudyButton)
        return review


def _of_images(nodes: list[Any], uids: list[str]) -> Any:
    """Return the volume node that was made of these images."""
    return next(node for node in nodes if uids[0] in (node.GetAttribute("DICOM.instanceUIDs") or "").split())


def _settings() -> dict[str, Any]:
    """Return the settings that the module has, and the one that a temporary DICOM database changes."""
    try:
        import qt
    except ImportError:  # a core of Slicer without windows
        return {}
    settings = qt.QSettings()
    found = {name: settings.value(name) for name in settings.allKeys() if name.startswith(SETTINGS)}
    database = getattr(slicer, "dicomDatabaseDirectorySettingsKey", "")
    return found | ({database: settings.value(database)} if database else {})


def _restore_settings(former: dict[str, Any]) -> None:
    for name in {*former, *_settings()}:
        import qt

        value = former.get(name)
        qt.QSettings().remove(name) if value is None else qt.QSettings().setValue(name, value)
