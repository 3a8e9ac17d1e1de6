"""What all tests share: where the checkout and the real data lie, and which system libraries are there."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

CHECKOUT = Path(__file__).resolve().parent.parent
SHARED_DATA = CHECKOUT.parent / "shared" / "data"
LIBRARY = CHECKOUT / "LumbarDiscGrading"
REQUIRE_LIBRARIES = "LUMBAR_DISC_GRADING_REQUIRE_LIBRARIES"
"""Environment variable: where it is set, a missing system library or program fails a test instead of skipping it."""

# for the processes that tests start; pytest.ini does it for this one
for _folder in (CHECKOUT / "Testing" / "equipment", LIBRARY):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_folder), os.environ.get("PYTHONPATH")]))

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in the background of a shell; what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("checkout", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("checkout")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Top level of the repository."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data beside the checkout; tests that ask for it are skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data is not beside this checkout (../shared/data)")
    return SHARED_DATA


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_library"):
        try:
            ctypes.CDLL(marker.args[0])
        except OSError:
            _skip_or_fail(f"the system library {marker.args[0]} is missing")
    for marker in item.iter_markers("needs_program"):
        name, package = marker.args
        if shutil.which(name) is None and not Path(name).is_file():
            _skip_or_fail(f"the program {name} (Debian package {package}) is missing")


def _skip_or_fail(reason: str) -> None:
    if os.environ.get(REQUIRE_LIBRARIES):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def started(checkout: Path) -> Iterator[Any]:
    from slicer_host.application import SlicerHost

    host = SlicerHost(checkout / "LumbarDiscGrading" / "LumbarDiscGrading.py")
    yield host
    host.close()


@pytest.fixture(scope="session")
def sample() -> Any:
    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom

    return lumbar_phantom().volume


@pytest.fixture(scope="session")
def grader() -> Any:
    """Both networks on the processor, loaded once for all tests."""
    from LumbarDiscGradingLib.grading.grader import DiscGrader

    return DiscGrader("cpu")


@pytest.fixture(scope="session")
def graders() -> Any:
    """Networks that are loaded once for all tests."""
    from LumbarDiscGradingLib.panel.shared.graders import Graders

    return Graders()


@pytest.fixture
def host(started: Any, graders: Any) -> Iterator[Any]:
    """An empty scene and an open panel; nothing that Slicer would refuse may have happened at the end."""
    started.core.clear()
    started.forget_violations()
    started.open()
    started.widget.logic.graders = graders
    yield started
    started.close_panel()
    started.core.clear()
    assert started.violations() == []
    assert started.app.slots("aboutToQuit()") == []
