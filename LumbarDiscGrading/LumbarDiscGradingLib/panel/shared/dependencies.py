"""The packages that Slicer does not bring, installed when they are first needed and the user agrees."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from ...errors import UserError

TORCH_REQUIREMENT = ">=2.4"
SAFETENSORS_REQUIREMENT = "safetensors>=0.4"
"""Has no dependencies of its own, so that pip leaves Slicer's packages as they are."""


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
    if find_spec("torch") is None:
        _install_torch()
    if find_spec("safetensors") is None:
        _install_safetensors()


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


def _install_safetensors() -> None:
    from slicer.i18n import tr as _

    try:
        from slicer.packaging import pip_ensure

        pip_ensure(SAFETENSORS_REQUIREMENT, requester="LumbarDiscGrading")
    except Exception as error:
        raise DependencyError(
            _("The package safetensors could not be installed ({reason}): check the network connection.").format(
                reason=error
            )
        ) from error
    importlib.invalidate_caches()
    if find_spec("safetensors") is None:
        raise DependencyError(
            _("The package safetensors was not installed, but grading needs it: click Grade Discs to install it.")
        )
