"""Stand-ins for the CTK and MRML widgets that the ``.ui`` files name, with the interface of the real ones."""

from __future__ import annotations

from typing import Any

import numpy
import slicer
from PySide6 import QtCore, QtGui, QtWidgets

Property, Signal = QtCore.Property, QtCore.Signal
HEADER_PX = 24


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A titled box that folds its content away."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, HEADER_PX, 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        self.toggled.connect(lambda opened: self.setCollapsed(not opened))

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            self._show(child)
        self.setChecked(not collapsed)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = Property(bool, lambda self: self._collapsed, setCollapsed)

    def _show(self, child: Any) -> None:
        if self._collapsed:
            if not child.isHidden():
                child.setProperty("shown when opened", True)
                child.setVisible(False)
        elif child.property("shown when opened"):
            child.setProperty("shown when opened", False)
            child.setVisible(True)

    def childEvent(self, event: Any) -> None:
        if self._collapsed and event.type() == QtCore.QEvent.ChildPolished and event.child().isWidgetType():
            self._show(event.child())

    def hitButton(self, position: Any) -> bool:
        return position.y() < HEADER_PX

    def sizeHint(self) -> Any:
        layout = self.layout()
        if self._collapsed or layout is None:
            return QtCore.QSize(layout.totalMinimumSize().width() if layout else 80, HEADER_PX)
        return layout.totalSizeHint()  # with the header, which is a margin of the content

    def minimumSizeHint(self) -> Any:
        layout = self.layout()
        return QtCore.QSize(0, HEADER_PX) if self._collapsed or layout is None else layout.totalMinimumSize()

    def hasHeightForWidth(self) -> bool:
        return not self._collapsed and self.layout() is not None and self.layout().hasHeightForWidth()

    def heightForWidth(self, width: int) -> int:
        return self.layout().totalHeightForWidth(width) if self.hasHeightForWidth() else self.sizeHint().height()

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        header = QtCore.QRect(0, 0, self.width, HEADER_PX - 2)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = header
        self.style().drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option, painter, self)
        painter.setPen(self.palette.color(QtGui.QPalette.ButtonText))
        arrow = "▸" if self._collapsed else "▾"
        painter.drawText(header.adjusted(8, 0, 0, 0), QtCore.Qt.AlignVCenter, f"{arrow}  {self.text}")


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box."""

    valueChanged = Signal(float)
    CPP_SIGNALS = ("valueChanged(double)",)
    STEPS = 1000

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.slider, self.spinBox = QtWidgets.QSlider(QtCore.Qt.Horizontal), QtWidgets.QDoubleSpinBox()
        self.slider.setRange(0, self.STEPS)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.spinBox)
        self.spinBox.valueChanged.connect(self._follow)
        self.slider.valueChanged.connect(self._slid)

    def _follow(self, value: float) -> None:
        low, high = self.spinBox.minimum, self.spinBox.maximum
        blocked = self.slider.blockSignals(True)
        self.slider.setValue(round(self.STEPS * (value - low) / (high - low)) if high > low else 0)
        self.slider.blockSignals(blocked)
        self.valueChanged.emit(value)

    def _slid(self, step: int) -> None:
        low, high = self.spinBox.minimum, self.spinBox.maximum
        self.spinBox.setValue(low + (high - low) * step / self.STEPS)

    def setValue(self, value: float) -> None:
        self.spinBox.setValue(value)

    value = Property(float, lambda self: self.spinBox.value, setValue)
    minimum = Property(float, lambda self: self.spinBox.minimum, lambda self, v: self.spinBox.setMinimum(v))
    maximum = Property(float, lambda self: self.spinBox.maximum, lambda self, v: self.spinBox.setMaximum(v))
    singleStep = Property(float, lambda self: self.spinBox.singleStep, lambda self, v: self.spinBox.setSingleStep(v))
    pageStep = Property(float, lambda self: self.slider.pageStep, lambda self, v: self.slider.setPageStep(int(v)))
    decimals = Property(int, lambda self: self.spinBox.decimals, lambda self, v: self.spinBox.setDecimals(v))
    suffix = Property(str, lambda self: self.spinBox.suffix, lambda self, v: self.spinBox.setSuffix(v))
    spinBoxVisible = Property(
        bool, lambda self: not self.spinBox.isHidden(), lambda self, v: self.spinBox.setVisible(v)
    )


class SceneWidget(QtWidgets.QWidget):
    """Follows a scene; its observers leave with it."""

    mrmlSceneChanged = Signal(object)
    CPP_SIGNALS = ("mrmlSceneChanged(vtkMRMLScene*)",)
    EVENTS: tuple[int, ...] = ()

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene, self._observations = None, []

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        for observation in self._observations:
            self._scene.RemoveObserver(observation)
        self._scene = scene
        self._observations = [scene.AddObserver(event, self._scene_changed) for event in self.EVENTS] if scene else []
        self._scene_changed()
        self.mrmlSceneChanged.emit(scene)

    def _scene_changed(self, *_: Any) -> None:
        """Nothing to follow here."""


class qMRMLWidget(SceneWidget):
    """The module's panel; `isEntered` is set by Slicer while the module is open."""

    isEntered = False


def _option(name: str, type_name: Any, default: Any) -> Any:
    """Return a property that is kept in the widget's `_options`."""

    def write(self: Any, value: Any) -> None:
        self._options[name] = value
        self._scene_changed()

    return Property(type_name, lambda self: self._options.get(name, default), write)


class qMRMLSortFilterProxyModel(QtCore.QObject):
    """What of the scene a selector offers: hidden nodes are in no list, whatever else lets them in."""

    changed = Signal()

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self._hidden: list[str] = []

    def _hide(self, node_ids: list[str]) -> None:
        if list(node_ids) != self._hidden:
            self._hidden = list(node_ids)
            self.changed.emit()

    hiddenNodeIDs = Property("QStringList", lambda self: self._hidden, _hide)


class qMRMLNodeComboBox(SceneWidget):
    """Selects a node of the scene."""

    currentNodeChanged, currentNodeIDChanged = Signal(object), Signal(str)
    CPP_SIGNALS = (
        "mrmlSceneChanged(vtkMRMLScene*)",
        "currentNodeChanged(vtkMRMLNode*)",
        "currentNodeIDChanged(QString)",
    )
    EVENTS = (
        slicer.vtkMRMLScene.NodeAddedEvent,
        slicer.vtkMRMLScene.NodeRemovedEvent,
        slicer.vtkMRMLScene.EndBatchProcessEvent,
        slicer.vtkMRMLScene.EndCloseEvent,
        slicer.vtkMRMLScene.EndImportEvent,
    )

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.combo = QtWidgets.QComboBox()
        self.combo.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo)
        self._id = ""
        self._options: dict[str, Any] = {"nodeTypes": [], "addEnabled": True, "removeEnabled": True}
        self.combo.activated.connect(lambda row: self._select(self.combo.itemData(row) or ""))
        self._filter = qMRMLSortFilterProxyModel(self)
        self._filter.changed.connect(self._scene_changed)

    def sortFilterProxyModel(self) -> Any:
        return self._filter

    nodeTypes = _option("nodeTypes", "QStringList", [])
    noneEnabled = _option("noneEnabled", bool, False)
    addEnabled = _option("addEnabled", bool, True)
    removeEnabled = _option("removeEnabled", bool, True)
    renameEnabled = _option("renameEnabled", bool, False)
    showChildNodeTypes = _option("showChildNodeTypes", bool, True)
    noneDisplay = _option("noneDisplay", str, "None")

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        kinds, children = self.nodeTypes, self.showChildNodeTypes
        everything = (self._scene.GetNthNode(n) for n in range(self._scene.GetNumberOfNodes()))
        return [
            node
            for node in everything
            if any(node.IsA(kind) if children else node.GetClassName() == kind for kind in kinds)
            and not node.GetHideFromEditors()
            and node.GetID() not in self._filter.hiddenNodeIDs
        ]

    def _scene_changed(self, *_: Any) -> None:
        if self._scene is not None and (self._scene.IsBatchProcessing() or self._scene.IsClosing()):
            return
        nodes = self._nodes()
        self.combo.clear()
        if self.noneEnabled:
            self.combo.addItem(self.noneDisplay, "")
        for node in nodes:
            self.combo.addItem(node.GetName(), node.GetID())
        self._select(self._id if self._id in [node.GetID() for node in nodes] else "")

    def _select(self, node_id: str) -> None:
        self.combo.setCurrentIndex(max(self.combo.findData(node_id), -1))
        if node_id != self._id:
            self._id = node_id
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(node_id)

    def nodeCount(self) -> int:
        return len(self._nodes())

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._id) if self._scene is not None and self._id else None

    def setCurrentNode(self, node: Any) -> None:
        offered = node is not None and node.GetID() not in self._filter.hiddenNodeIDs
        self._select(node.GetID() if offered else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        self._select(node_id or "")

    currentNodeID = Property(str, lambda self: self._id, setCurrentNodeID)


class qMRMLSegmentEditorWidget(SceneWidget):
    """Stands where the Segment Editor is; its state is in the real vtkMRMLSegmentEditorNode.

    Of the effects only *Keep largest island* is here; all put their default parameters into the node, where none are,
    as Slicer's do. Its keys are bound as in Slicer: what is bound to one of them elsewhere at the same time works for
    nobody. `calls` records what was installed on the main window and the views.
    """

    DEFAULTS = {
        "Islands.Operation": "KEEP_LARGEST_ISLAND",
        "Islands.MinimumSize": "1000",
        "Smoothing.SmoothingMethod": "MEDIAN",
        "Smoothing.KernelSizeMm": "3",
        "Smoothing.GaussianStandardDeviationMm": "3",
        "Margin.MarginSizeMm": "3",
        "Scissors.SliceCutMode": "Unlimited",
        "Scissors.SliceCutDepthMm": "0",
        "BrushAbsoluteDiameter": "5",
        "BrushRelativeDiameter": "3",
        "BrushDiameterIsRelative": "1",
        "BrushSphere": "0",
    }
    SEGMENT_KEYS = {"Q": -1, "W": 1, ",": -1, ".": 1}

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(QtWidgets.QLabel("Segment Editor"))
        self._node: Any = None
        self._options: dict[str, Any] = {}
        self.calls: list[str] = []
        self.effects: list[str] = []
        self._shortcuts: list[Any] = []
        self.maximumNumberOfUndoStates = 0

    segmentationNodeSelectorVisible = _option("segmentationNodeSelectorVisible", bool, True)
    sourceVolumeNodeSelectorVisible = _option("sourceVolumeNodeSelectorVisible", bool, True)
    show3DButtonVisible = _option("show3DButtonVisible", bool, True)
    addRemoveSegmentButtonsVisible = _option("addRemoveSegmentButtonsVisible", bool, True)
    switchToSegmentationsButtonVisible = _option("switchToSegmentationsButtonVisible", bool, True)
    unorderedEffectsVisible = _option("unorderedEffectsVisible", bool, True)

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self._node = node
        for name, value in self.DEFAULTS.items() if node is not None else ():
            if node.GetAttribute(name) is None:
                node.SetAttribute(name, value)

    def mrmlSegmentEditorNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        if self._node is not None:
            self._node.SetAndObserveSegmentationNode(node)

    def setSourceVolumeNode(self, node: Any) -> None:
        if self._node is not None:
            self._node.SetAndObserveSourceVolumeNode(node)

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._node.SetSelectedSegmentID(segment_id)

    def setEffectNameOrder(self, names: Any) -> None:
        self.effects = list(names)

    def setActiveEffect(self, effect: Any) -> None:
        assert effect is None
        if self._node is not None:
            self._node.SetActiveEffectName("")

    def setActiveEffectByName(self, name: str) -> None:
        self._node.SetActiveEffectName(name)

    def applyIslands(self) -> None:
        """Do what a click on *Apply* of the effect *Islands* does: keep the largest, if it is not below the minimum."""
        from scipy import ndimage
        from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

        assert self._node.GetActiveEffectName() == "Islands"
        node, segment_id = self._node.GetSegmentationNode(), self._node.GetSelectedSegmentID()
        image = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(segment_id, image)
        drawn = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]) > 0
        islands, _ = ndimage.label(drawn)
        sizes = numpy.bincount(islands.ravel())[1:]
        kept = numpy.zeros(drawn.shape, numpy.uint8)
        if sizes.max(initial=0) >= int(self._node.GetAttribute("Islands.MinimumSize")):
            kept[islands == sizes.argmax() + 1] = 1
        scalars = numpy_to_vtk(kept.ravel(), deep=True)
        scalars.SetName("ImageScalars")
        image.GetPointData().SetScalars(scalars)
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        logic.SetBinaryLabelmapToSegment(image, node, segment_id, logic.MODE_REPLACE, image.GetExtent())

    def setupViewObservations(self) -> None:
        self.calls.append("setupViewObservations")

    def removeViewObservations(self) -> None:
        self.calls.append("removeViewObservations")

    @property
    def shortcutsInstalled(self) -> bool:
        return bool(self._shortcuts)

    def installKeyboardShortcuts(self, parent: Any = None) -> None:
        self.uninstallKeyboardShortcuts()
        for number in range(10):
            effect = self.effects[(number - 1) % 10] if (number - 1) % 10 < len(self.effects) else ""
            self._bind(str(number), parent, lambda effect=effect: self._toggle_effect(effect))
        for key, offset in self.SEGMENT_KEYS.items():
            self._bind(key, parent, lambda offset=offset: self._select_segment(offset))
        for key in ("Esc", "Space"):
            self._bind(key, parent, lambda: self._toggle_effect(""))
        for key in ("Z", "Y", "Ctrl+Z", "Ctrl+Y", "I", "/", "*", "<", ">"):
            self._bind(key, parent, lambda: None)

    def _bind(self, key: str, parent: Any, action: Any) -> None:
        shortcut = QtGui.QShortcut(QtGui.QKeySequence(key), parent or self.window())
        shortcut.activated.connect(action)
        self._shortcuts.append(shortcut)

    def _toggle_effect(self, effect: str) -> None:
        self._node.SetActiveEffectName("" if self._node.GetActiveEffectName() == effect else effect)

    def _select_segment(self, offset: int) -> None:
        segmentation = self._node.GetSegmentationNode().GetSegmentation()
        ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
        place = ids.index(self._node.GetSelectedSegmentID()) + offset
        if 0 <= place < len(ids):
            self._node.SetSelectedSegmentID(ids[place])

    def uninstallKeyboardShortcuts(self) -> None:
        for shortcut in self._shortcuts:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []


CTK = (ctkCollapsibleButton, ctkSliderWidget)
MRML = (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentEditorWidget)
