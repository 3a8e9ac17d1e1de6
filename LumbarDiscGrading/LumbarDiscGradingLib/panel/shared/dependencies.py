"""The packages that Slicer does not bring, installed when they are first needed and the user agrees."""

from __future__ import annotations

import importlib
from contextlib import suppress
from importlib.util import find_spec

from ...errors import UserError

TORCH_REQUIREMENT = ">=2.4"
SAFETENSORS_REQUIREMENT = "safetensors>=0.4"
"""Has no dependencies of its own, so that pip leaves Slicer's packages as they are."""
HIGHDICOM_REQUIREMENT = "highdicom>=0.27,<0.29"
"""Slicer brings it; asked for where somebody has taken it out."""


class DependencyError(UserError):
    """A package is missing; the message is one sentence for the user: what is missing and what to do."""


def ensure_installed() -> None:
    """Make sure that the networks can run; asks before anything is installed.

    PyTorch comes through the PyTorch extension, which chooses the build that fits the computer's graphics card.

    Raises
    ------
    DependencyError
        If something is missing and could not be installed, or the user declined.
    """
    from slicer.i18n import tr as _

    if find_spec("torch") is None:
        _install_torch()
    if find_spec("safetensors") is None:
        _install(SAFETENSORS_REQUIREMENT, "safetensors", _("grading"))


def ensure_highdicom() -> None:
    """Make sure that DICOM can be written; asks before anything is installed.

    Raises
    ------
    DependencyError
        If highdicom is missing and could not be installed, or the user declined.
    """
    from slicer.i18n import tr as _

    if find_spec("highdicom") is None:
        _install(HIGHDICOM_REQUIREMENT, "highdicom", _("saving to DICOM"))


def installed() -> bool:
    """Return whether the networks can run without anything being installed."""
    return find_spec("torch") is not None and find_spec("safetensors") is not None


def _install_torch() -> None:
    from slicer.i18n import tr as _

    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise DependencyError(
            _(
                "PyTorch is not installed: install the PyTorch extension with the Extensions Manager, restart Slicer "
                "and grade again."
            )
        ) from error
    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
            askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT
        )
    except Exception as error:
        raise DependencyError(
            _(
                "PyTorch could not be installed ({reason}): check the network connection and the free disk space, or "
                "install it with the PyTorch Utils module."
            ).format(reason=error)
        ) from error
    if torch is None:
        raise DependencyError(
            _("Grading needs PyTorch, which was not installed: click Grade Discs again to install it.")
        )


def _install(requirement: str, package: str, purpose: str) -> None:
    from slicer.i18n import tr as _

    try:
        from slicer.packaging import pip_ensure

        with suppress(RuntimeError):  # the user declined, which is told below
            pip_ensure(requirement, requester="LumbarDiscGrading")
    except Exception as error:
        raise DependencyError(
            _("The package {package} could not be installed ({reason}): check the network connection.").format(
                package=package, reason=error
            )
        ) from error
    importlib.invalidate_caches()
    if find_spec(package) is None:
        raise DependencyError(
            _("The package {package} was not installed, but {purpose} needs it: click again to install it.").format(
                package=package, purpose=purpose
            )
        )
