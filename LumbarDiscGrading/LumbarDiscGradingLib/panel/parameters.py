"""What the user has chosen: `Parameters` of the scene, and preferences of the person in the application's settings."""

from __future__ import annotations

from typing import Any

INPUT_ROLE, SEGMENTATION_ROLE = "inputVolume", "segmentation"
SLICE, SLICE_STACK = "SliceIndex", "SliceStack"
SEGMENTATION_MODEL, GRADING_MODEL = "SegmentationModel", "GradingModel"


class Parameters:
    """Typed view of the module's parameters, which are kept in the scene.

    Parameters
    ----------
    node : vtkMRMLScriptedModuleNode
    """

    def __init__(self, node: Any) -> None:
        self.node = node

    @property
    def inputVolume(self) -> Any:
        """The volume to grade, None if none is selected."""
        return self.node.GetNodeReference(INPUT_ROLE)

    @inputVolume.setter
    def inputVolume(self, volumeNode: Any) -> None:
        self.node.SetNodeReferenceID(INPUT_ROLE, volumeNode.GetID() if volumeNode else None)

    @property
    def segmentation(self) -> Any:
        """The segmentation whose result is shown, None if none is."""
        return self.node.GetNodeReference(SEGMENTATION_ROLE)

    @segmentation.setter
    def segmentation(self, segmentationNode: Any) -> None:
        self.node.SetNodeReferenceID(SEGMENTATION_ROLE, segmentationNode.GetID() if segmentationNode else None)

    @property
    def sliceIndex(self) -> int | None:
        """Stored index of the slice to grade, None to choose it by content."""
        text = self.node.GetParameter(SLICE)
        return int(text) if text else None

    @sliceIndex.setter
    def sliceIndex(self, index: int | None) -> None:
        self.node.SetParameter(SLICE, "" if index is None else str(int(index)))

    @property
    def sliceStack(self) -> tuple[int, int] | None:
        """Where that slice was chosen: axis of the stored voxels (k, j, i) and number of slices; None if not known."""
        text = self.node.GetParameter(SLICE_STACK)
        axis, count = text.split() if text else ("", "")
        return (int(axis), int(count)) if text else None

    @sliceStack.setter
    def sliceStack(self, stack: tuple[int, int] | None) -> None:
        self.node.SetParameter(SLICE_STACK, "" if stack is None else "{} {}".format(*stack))

    @property
    def segmentationModel(self) -> str:
        """Name of the segmentation model, empty for the built-in default."""
        return self.node.GetParameter(SEGMENTATION_MODEL) or ""

    @segmentationModel.setter
    def segmentationModel(self, name: str) -> None:
        self.node.SetParameter(SEGMENTATION_MODEL, name)

    @property
    def gradingModel(self) -> str:
        """Name of the grading model, empty for the built-in default."""
        return self.node.GetParameter(GRADING_MODEL) or ""

    @gradingModel.setter
    def gradingModel(self, name: str) -> None:
        self.node.SetParameter(GRADING_MODEL, name)


DEVICE_SETTING = "LumbarDiscGrading/Device"


def preferred_device() -> str:
    """Return the device that this person chose last."""
    import qt

    return str(qt.QSettings().value(DEVICE_SETTING, "auto") or "auto")


def prefer_device(name: str) -> None:
    """Remember a device."""
    import qt

    qt.QSettings().setValue(DEVICE_SETTING, name)
