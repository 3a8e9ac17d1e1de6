"""Where the files of ``Resources`` lie: models, splits, terminology, icons.

Inside Slicer, in a checkout and in an editable install ``Resources`` lies beside the library, as Slicer's module
layout has it; a wheel carries the same folder inside the library.
"""

from __future__ import annotations

from pathlib import Path

_LIBRARY = Path(__file__).resolve().parent


def resource_path(*parts: str) -> Path:
    """Return the path of a file or folder of ``Resources``; it need not exist.

    Parameters
    ----------
    *parts : str
        Path below ``Resources``; none for the folder itself.

    Examples
    --------
    >>> resource_path("Models").name
    'Models'
    """
    packaged = _LIBRARY / "Resources"
    root = packaged if packaged.is_dir() else _LIBRARY.parent / "Resources"
    return root.joinpath(*parts)
