"""The tests' own equipment: processes run this checkout's library; waiting is for what happens, not for the clock."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import quick_tests
import run_tests

QUIET_SECONDS = 0.5
pytestmark = [
    pytest.mark.needs_library(name)
    for name in ("libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1")
]


def test_a_process_that_a_test_starts_runs_the_library_of_this_checkout(checkout: Path, tmp_path: Path) -> None:
    code = "import LumbarDiscGradingLib; print(LumbarDiscGradingLib.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == checkout / "LumbarDiscGrading" / "LumbarDiscGradingLib"


def work(seconds: float, done: threading.Event) -> None:
    """Work so long, as this thread's time of the processor goes, and say that it is done."""
    while time.thread_time() < seconds:
        pass
    done.set()


def test_waiting_goes_on_as_long_as_another_thread_works(host: Any) -> None:
    done = threading.Event()
    thread = threading.Thread(target=work, args=(3 * QUIET_SECONDS, done))
    thread.start()
    try:
        host.wait_until(done.is_set, QUIET_SECONDS)
    finally:
        thread.join()


def test_waiting_ends_when_nothing_goes_on(host: Any) -> None:
    with pytest.raises(TimeoutError, match="nothing goes on"):
        host.wait_until(lambda: False, QUIET_SECONDS)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="asks for the superuser of Linux")
def test_who_gave_up_writing_everywhere_still_reads_everywhere(checkout: Path, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (private / "file").write_text("read me", encoding="utf-8")
    for path in (private / "file", private):
        os.chown(path, 1234, 1234)
        path.chmod(0o400)
    code = (
        "import sys; from pathlib import Path; from plain_user import give_up_writing_everywhere\n"
        "give_up_writing_everywhere()\n"
        "file = Path(sys.argv[1], 'file')\n"
        "assert file.read_text() == 'read me'\n"
        "try: file.write_text('written')\n"
        "except PermissionError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(private)], capture_output=True, text=True)
    assert done.stdout.strip() == "refused", done.stderr


def test_quick_runs_the_quick_tests_and_the_other_arguments_go_to_pytest() -> None:
    class Environment:
        def executable(self, name: str) -> Path:
            return Path(name)

    chosen = quick_tests.quick_tests()
    assert run_tests.checks(Environment(), ["--quick", "-x"])["pytest"][-len(chosen) - 1 :] == ["-x", *chosen]
    assert run_tests.checks(Environment(), ["-x"])["pytest"][-2:] == ["-x", "Testing"]


def test_each_room_has_quick_tests_and_all_of_them_exist(checkout: Path) -> None:
    library = checkout / "LumbarDiscGrading" / "LumbarDiscGradingLib"
    assert set(quick_tests.OF_A_ROOM) == {path.parent.name for path in library.glob("*/__init__.py")}
    for name in quick_tests.quick_tests():
        path, _, test = name.partition("::")
        if test:
            tree = ast.parse(Path(path).read_text(encoding="utf-8"))
            assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
