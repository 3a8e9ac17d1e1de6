"""Library of the LumbarDiscGrading extension: lumbar discs segmented and graded on sagittal T2-weighted MRI.

The rooms, from the ground up: ``pfirrmann``, ``imaging``, ``dataset``, ``annotation``, ``networks``, ``models``,
``grading``, ``report``, ``training``, ``headless``, ``scene``, ``panel`` and ``cli``. A room imports only rooms named
before it; import-linter checks that in the test run.
"""

__version__ = "0.1.0"

HOMEPAGE = "https://github.com/SlicerLumbarDiscGrading/SlicerLumbarDiscGrading"
