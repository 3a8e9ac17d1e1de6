"""``cohort.parquet``: the rows of ``cohort.csv`` with numbers as numbers, where pyarrow is installed."""

from __future__ import annotations

from ..report.tables import MEASUREMENT_COLUMNS
from .journal import Journal
from .tables import COHORT_COLUMNS, COHORT_FILE

PARQUET_FILE = "cohort.parquet"
NUMBERS = ("p_mild", "p_moderate", "p_serious", *MEASUREMENT_COLUMNS, "naming_confidence")
WHOLE_NUMBERS = ("pfirrmann", "slice")
YES_OR_NO = ("confident",)


def write_parquet(journal: Journal) -> bool:
    """Write the table of all discs as Parquet; an empty cell of a number is null.

    Returns
    -------
    bool
        False where pyarrow is not installed, and nothing was written.
    """
    try:
        from pyarrow import bool_, csv, float64, int64, parquet, string
    except ModuleNotFoundError:
        return False
    types = dict.fromkeys(COHORT_COLUMNS, string())
    types |= (
        dict.fromkeys(NUMBERS, float64()) | dict.fromkeys(WHOLE_NUMBERS, int64()) | dict.fromkeys(YES_OR_NO, bool_())
    )
    read = csv.read_csv(
        journal.output / COHORT_FILE,
        convert_options=csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=False),
    )
    with journal.replacing(journal.output / PARQUET_FILE) as temporary:
        parquet.write_table(read, temporary)
    return True
