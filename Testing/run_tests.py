"""Run everything that checks this checkout: ``python3 Testing/run_tests.py``; arguments are passed on to pytest.

Sets up ``.venv`` in the checkout by itself (see ``standalone.py``), then runs ruff (lint and format), import-linter,
mypy and pytest. All of them run even if one fails; the exit code is 0 only if all passed. With ``--quick`` pytest runs
something of every room (see ``quick_tests.py``), all of it in at most 90 s on two free cores.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from quick_tests import quick_tests

CHECKOUT = Path(__file__).resolve().parent.parent
PROJECT = CHECKOUT / "LumbarDiscGrading"
QUICK = "--quick"


def standalone_module():
    """Load ``standalone.py`` by its path: the library itself is not installed for the Python that runs this."""
    path = PROJECT / "LumbarDiscGradingLib" / "standalone.py"
    spec = importlib.util.spec_from_file_location("standalone", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def checks(environment, arguments: list[str]) -> dict[str, list[str]]:
    """Return the commands to run, by name, in their order."""
    ruff = str(environment.executable("ruff"))
    pytest_arguments = [argument for argument in arguments if argument != QUICK]
    if QUICK in arguments:
        pytest_arguments += quick_tests()
    return {
        "ruff check": [ruff, "check", "."],
        "ruff format": [ruff, "format", "--check", "."],
        "import-linter": [str(environment.executable("lint-imports")), "--no-logo", "--no-cache"],
        "mypy": [str(environment.executable("mypy"))],
        "pytest": [str(environment.executable("python")), "-m", "pytest", "-c", "Testing/pytest.ini"]
        + pytest_arguments
        + ([] if any(names_tests(argument) for argument in pytest_arguments) else ["Testing"]),
    }


def names_tests(argument: str) -> bool:
    """Whether an argument for pytest says which tests to run (file, folder or node id), as seen from the checkout."""
    return not argument.startswith("-") and (CHECKOUT / argument.split("::")[0]).exists()


def main(arguments: list[str]) -> int:
    standalone = standalone_module()
    environment = standalone.checkout_environment()
    try:
        environment.make_ready(["standalone", "train", "test"])
    except standalone.SetupError as error:
        print(f"run_tests: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("run_tests: interrupted; run this again to go on with the set-up.", file=sys.stderr)
        return 130
    failed = []
    for name, command in checks(environment, arguments).items():
        print(f"--- {name}", flush=True)
        if subprocess.call(command, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(PROJECT)}):
            failed.append(name)
    print(f"--- failed: {', '.join(failed)}" if failed else "--- all passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
