"""The rules of PythonQt on PySide6: properties are attributes, signals are connected by their C++ signature.

PySide6 forgives what PythonQt does not. What it would have refused is collected here (`Violations`), so that a test can
assert that there was nothing.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import os
import sys
import types
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtPrintSupport, QtTest, QtUiTools, QtWidgets

MODULES = (QtCore, QtGui, QtWidgets, QtPrintSupport, QtUiTools, QtTest)
OVERRIDABLE = frozenset({"sizeHint", "minimumSizeHint"})
"""Properties that are virtual functions too: an attribute would hide what a Python subclass overrides."""
COERCIONS = {"QString": str, "int": int, "bool": bool, "double": float, "float": float}
"""PythonQt converts a value to the type of the property: 5 becomes "5", 2.7 becomes 2 in an int property."""


@dataclass
class Violations:
    """What PythonQt would have refused or only printed.

    Attributes
    ----------
    connects : list of str
        Signals that do not exist; PythonQt prints a line and returns False.
    exceptions : list of BaseException
        Raised in slots and observers, where they are only printed.
    """

    connects: list[str] = field(default_factory=list)
    exceptions: list[BaseException] = field(default_factory=list)

    def clear(self) -> None:
        self.connects.clear()
        self.exceptions.clear()


VIOLATIONS = Violations()


class _PropertyAttribute:
    """A Qt property as an attribute of its class; asked of the class itself it is the C++ function of that name."""

    def __init__(self, name: str, type_name: str, function: Any, getter: Any, setter: Any) -> None:
        self.name, self.function, self.getter, self.setter = name, function, getter, setter
        self.coerce = COERCIONS.get(type_name)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self.function if self.function is not None else self
        return self.getter(instance)

    def __set__(self, instance: Any, value: Any) -> None:
        if self.setter is None:
            raise AttributeError(f"The property {self.name!r} of {type(instance).__name__} is not writable.")
        self.setter(instance, self.coerce(value) if self.coerce is not None else value)


def _give_attributes(cls: type) -> None:
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        qt_property = meta.property(index)
        name = qt_property.name()
        if name in OVERRIDABLE or isinstance(cls.__dict__.get(name), _PropertyAttribute):
            continue
        function = getattr(cls, name, None)
        if isinstance(function, (type, QtCore.Signal)):  # an enum class or a signal of the same name
            continue
        capital = name[0].upper() + name[1:]
        read_is, write = getattr(cls, f"is{capital}", None), getattr(cls, f"set{capital}", None)
        if name == "singleShot":  # also a static function
            getter = read_is
        else:
            getter = function if callable(function) else read_is if callable(read_is) else _read(name)
        setter = write if callable(write) else (_write(name) if qt_property.isWritable() else None)
        attribute = _PropertyAttribute(
            name, qt_property.typeName(), function if callable(function) else None, getter, setter
        )
        setattr(cls, name, attribute)


def _read(name: str) -> Any:
    return lambda instance: instance.property(name)


def _write(name: str) -> Any:
    return lambda instance, value: instance.setProperty(name, value)


def _accepted_arguments(function: Any) -> int:
    """Return how many of a signal's arguments a slot takes; PythonQt passes no more."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return sys.maxsize
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return sys.maxsize
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _bound_signal(sender: QtCore.QObject, signature: str) -> Any:
    """Return the signal with exactly this C++ signature, None where the class has none."""
    name = signature.split("(")[0].strip()
    own = getattr(type(sender), "CPP_SIGNALS", ())
    normal = bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode()
    if normal in own:
        return getattr(sender, name)
    if any(other.split("(")[0] == name for other in own) or sender.metaObject().indexOfSignal(normal) < 0:
        return None
    signal = getattr(sender, name)
    overload = normal[len(name) + 1 : -1]
    try:
        return signal[overload] if overload else signal
    except (KeyError, IndexError, TypeError):
        return signal


_CONNECTIONS: dict[tuple[int, str, Any], list[Any]] = {}


def _connect(sender: QtCore.QObject, signature: str, slot: Any, *receiver_slot: str) -> bool:
    if receiver_slot:  # connect("signal()", receiver, "slot()")
        slot = getattr(slot, receiver_slot[0].split("(")[0])
    signal = _bound_signal(sender, signature)
    if signal is None:
        VIOLATIONS.connects.append(f"{type(sender).__name__} has no signal {signature}")
        QtCore.qCritical(f"PythonQt: QObject::connect() signal '{signature}' does not exist on {type(sender).__name__}")
        return False
    count = 0 if signature.rstrip().endswith("()") else signature.count(",") + 1

    def call(*arguments: Any) -> None:
        slot(*arguments[: min(count, _accepted_arguments(slot))])

    _CONNECTIONS.setdefault((id(sender), signature, slot), []).append(call)
    signal.connect(call)
    return True


def _disconnect(sender: QtCore.QObject, signature: str, slot: Any, *receiver_slot: str) -> bool:
    if receiver_slot:
        slot = getattr(slot, receiver_slot[0].split("(")[0])
    calls = _CONNECTIONS.pop((id(sender), signature, slot), [])
    for call in calls:
        _bound_signal(sender, signature).disconnect(call)
    return bool(calls)


def stray_attributes() -> list[tuple[str, str, str]]:
    """Return the attributes that were set on widgets of C++ classes without being properties: misspelt ones."""
    return sorted(
        {
            (type(widget).__name__, widget.objectName, name)
            for widget in QtWidgets.QApplication.allWidgets()
            if type(widget).__module__.startswith("PySide6")
            for name, value in vars(widget).items()
            if not isinstance(value, (QtCore.SignalInstance, QtCore.Signal))
        }
    )


def install() -> tuple[types.ModuleType, QtWidgets.QApplication]:
    """Make the module ``qt`` and the one application; calling it again gives the same."""
    if "qt" in sys.modules:
        return sys.modules["qt"], QtWidgets.QApplication.instance()
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
    _keep_none_alive()
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    classes = {
        cls
        for module in MODULES
        for cls in (getattr(module, name) for name in dir(module))
        if isinstance(cls, type) and issubclass(cls, QtCore.QObject)
    }
    for cls in sorted(classes, key=lambda cls: len(cls.__mro__)):
        _give_attributes(cls)
    _rule_objects()
    _collect_exceptions()
    qt = types.ModuleType("qt")
    for module in MODULES:
        vars(qt).update({name: getattr(module, name) for name in dir(module) if not name.startswith("_")})
    sys.modules["qt"] = qt
    return qt, application


def _keep_none_alive() -> None:
    """Give None references in plenty: PySide6 6.12 takes one too many for each call without a result.

    Before Python 3.12, where None cannot be deallocated, the interpreter dies of that after some 100 000 calls.
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


def _rule_objects() -> None:
    cls = QtCore.QObject
    cls.name = _PropertyAttribute(
        "name", "QString", None, lambda o: o.objectName, lambda o, value: o.setObjectName(value)
    )
    cls.className = lambda self: self.metaObject().className()
    # QObject.connect is a static function in PySide6; a class attribute would not be asked for
    for each in (cls, QtWidgets.QMenu):  # a menu looks its attributes up in its own way
        _look_up_connect_first(each)
    for dialog in (QtWidgets.QDialog, QtWidgets.QMenu, QtCore.QEventLoop):
        if not hasattr(dialog, "exec_"):
            dialog.exec_ = dialog.exec


def _look_up_connect_first(cls: type) -> None:
    original = cls.__getattribute__
    own = {"connect": _connect, "disconnect": _disconnect}
    cls.__getattribute__ = lambda self, name: (
        functools.partial(own[name], self) if name in own else original(self, name)
    )


def _collect_exceptions() -> None:
    former = sys.excepthook

    def collect(kind: type, error: BaseException, trace: Any) -> None:
        VIOLATIONS.exceptions.append(error)
        former(kind, error, trace)

    sys.excepthook = collect
