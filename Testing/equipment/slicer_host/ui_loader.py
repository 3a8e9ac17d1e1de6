"""Loads ``.ui`` files with CTK and MRML widgets, their connections included, as Slicer's QUiLoader does."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools


class UnknownWidgetError(ValueError):
    """A ``.ui`` file names a widget class that has no stand-in."""


def loader_of(stand_ins: tuple[type, ...]) -> type:
    """Return a QUiLoader class that knows these widget classes too."""

    class Loader(QtUiTools.QUiLoader):
        def load(self, file: QtCore.QFile, parent: Any = None) -> Any:
            root = ElementTree.fromstring(bytes(file.readAll()))
            for cls in stand_ins:
                self.registerCustomWidget(cls)
            known = {cls.__name__ for cls in stand_ins} | set(self.availableWidgets()) | {"Line"}
            unknown = {widget.get("class") for widget in root.iter("widget")} - known
            if unknown:
                raise UnknownWidgetError(f"no stand-in for {sorted(unknown)}")
            connections = root.find("connections")
            if connections is not None:
                root.remove(connections)
            buffer = QtCore.QBuffer()
            buffer.setData(ElementTree.tostring(root))
            buffer.open(QtCore.QIODevice.ReadOnly)
            widget = super().load(buffer, parent)
            if widget is None:
                raise UnknownWidgetError(self.errorString())
            for connection in connections if connections is not None else ():
                sender, signal, receiver, slot = (
                    connection.findtext(part) for part in ("sender", "signal", "receiver", "slot")
                )
                _named(widget, sender).connect(signal, _named(widget, receiver), slot)
            return widget

    return Loader


def _named(widget: Any, name: str) -> Any:
    return widget if widget.objectName == name else widget.findChild(QtCore.QObject, name)
