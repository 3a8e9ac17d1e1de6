"""Slicer's slice views without a window: the real slice logics and displayable managers, drawn offscreen by EGL."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import slicer
import vtk

MANAGERS = ("vtkMRMLSegmentationsDisplayableManager2D",)


class SliceWidget:
    """Stands for a qMRMLSliceWidget: gives an interactor for mouse events, and pictures when asked for."""

    def __init__(self, core: Any, name: str) -> None:
        self.core, self.name = core, name
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetInteractorStyle(None)
        self.renderer = vtk.vtkRenderer()
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._renderers = vtk.vtkRendererCollection()
        self._renderers.AddItem(self.renderer)
        self._drawing: Any = None

    def sliceView(self) -> SliceWidget:
        return self

    def renderWindow(self) -> SliceWidget:
        return self

    def GetInteractor(self) -> Any:
        return self._interactor

    def GetRenderers(self) -> Any:
        return self._renderers

    def scheduleRender(self) -> None:
        """Pictures are drawn when they are asked for."""

    def mrmlSliceNode(self) -> Any:
        return self.core.scene.GetNodeByID(f"vtkMRMLSliceNode{self.name}")

    def mrmlSliceCompositeNode(self) -> Any:
        return self.core.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{self.name}")

    def texts(self) -> list[str]:
        """Return the texts that lie over the view."""
        props = self.renderer.GetViewProps()
        actors = [props.GetItemAsObject(n) for n in range(props.GetNumberOfItems())]
        return [actor.GetInput() for actor in actors if actor.IsA("vtkTextActor")]

    def click(self, ras: tuple[float, float, float]) -> None:
        """Press the left button where a point of the world is seen."""
        to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.mrmlSliceNode().GetXYToRAS(), to_xy)
        x, y, _, _ = to_xy.MultiplyPoint((*ras, 1.0))
        self._interactor.SetEventInformation(round(x), round(y))
        self._interactor.InvokeEvent("LeftButtonPressEvent")

    def picture(self, width: int, height: int) -> np.ndarray:
        """Draw the view and return its pixels, shape (height, width, 3)."""
        if self._drawing is None:
            self._drawing = _Drawing(self.core, self.mrmlSliceNode(), self.renderer, (width, height))
        return self._drawing.picture(width, height)

    def close(self) -> None:
        if self._drawing is not None:
            self._drawing.close()
            self._drawing = None


class _Drawing:
    def __init__(self, core: Any, node: Any, renderer: Any, size: tuple[int, int]) -> None:
        self.core, self.renderer = core, renderer
        self.window = vtk.vtkRenderWindow()
        self.window.SetShowWindow(False)
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.AddRenderer(self.renderer)
        self.window.SetSize(*size)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.mapper = vtk.vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        self.actor = vtk.vtkActor2D()
        self.actor.SetMapper(self.mapper)
        self.actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(self.actor)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(core.application_logic)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.Initialize(factory, self.renderer)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(core.application_logic)
        core.application_logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(core.scene)
        self.logic.SetSliceNode(node)
        node.SetMappedInLayout(1)
        self.group.SetMRMLDisplayableNode(node)
        self.interactor.Initialize()

    def picture(self, width: int, height: int) -> np.ndarray:
        from vtk.util.numpy_support import vtk_to_numpy

        self.window.SetSize(width, height)
        self.logic.ResizeSliceNode(width, height)
        connection = self.logic.GetImageDataConnection()
        self.mapper.SetInputConnection(connection)
        self.actor.SetVisibility(connection is not None)
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        columns, rows, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)
        return pixels[::-1, :, :3].copy()

    def close(self) -> None:
        self.group.SetMRMLDisplayableNode(None)
        self.core.application_logic.GetSliceLogics().RemoveItem(self.logic)
        self.logic.SetMRMLScene(None)
        slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(None)
        self.window.Finalize()
