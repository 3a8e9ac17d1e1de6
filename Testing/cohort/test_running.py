"""A cohort that is run again does only what is new, changed, failed or graded by another model; no row is doubled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cohort_inputs import rows_of, states_in
from example_results import MODELS, analytic_result

from LumbarDiscGradingLib.cohort import fingerprint
from LumbarDiscGradingLib.cohort.journal import Journal
from LumbarDiscGradingLib.cohort.rows import graded, not_graded
from LumbarDiscGradingLib.cohort.run_lock import RunningError
from LumbarDiscGradingLib.cohort.running import Recipe, Summary, run
from LumbarDiscGradingLib.cohort.scan import Outcome, Scan
from LumbarDiscGradingLib.file_hash import file_sha256
from LumbarDiscGradingLib.report import tables

RECIPE = Recipe({model.task: model.sha256 for model in MODELS}, ("_grades.csv", "_result.json"))
EXAMPLE = analytic_result()
TABLES = ("cohort.csv", "cohort_scans.csv")


@dataclass
class Cohort:
    """Scans in a folder that are 'graded' by what their files hold: `bad` fails."""

    inputs: Path
    output: Path
    recipe: Recipe = RECIPE
    done: list[str] = field(default_factory=list)

    def write(self, name: str, content: str) -> None:
        (self.inputs / f"{name}.nrrd").write_text(content)

    def scans(self) -> list[Scan]:
        return [Scan(path.stem, str(path)) for path in sorted(self.inputs.glob("*.nrrd"))]

    def outcomes(self, scans: Sequence[Scan]) -> Iterator[Outcome]:
        for scan in scans:
            self.done.append(scan.identifier)
            if Path(scan.input).read_text() == "bad":
                yield not_graded(scan, "failed", "It is bad.")
                continue
            models = tuple(replace(model, sha256=self.recipe.models[model.task]) for model in MODELS)
            source = replace(EXAMPLE.volume.source, name=scan.identifier, sha256=file_sha256(Path(scan.input)))
            result = replace(EXAMPLE, volume=replace(EXAMPLE.volume, source=source), models=models)
            tables.write_grades_csv(result, self.output / f"{scan.identifier}_grades.csv")
            tables.write_result_json(result, self.output / f"{scan.identifier}_result.json")
            yield graded(scan, result)

    def run(self, scans: Sequence[Scan] | None = None, skipped: Sequence[Outcome] = ()) -> tuple[Summary, list[str]]:
        """Run and return what was tried."""
        self.done.clear()
        with Journal.open(self.output) as journal:
            summary = run(journal, self.scans() if scans is None else scans, skipped, self.recipe, self.outcomes)
        return summary, list(self.done)

    def tables(self) -> list[bytes]:
        return [(self.output / name).read_bytes() for name in TABLES]


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    made = Cohort(tmp_path / "in", tmp_path / "out")
    for name in "abc":
        made.write(name, name)
    made.run()
    return made


def test_the_table_of_all_has_the_rows_of_each_scan(cohort: Cohort) -> None:
    rows = rows_of(cohort.output / "cohort.csv")
    assert [row["identifier"] for row in rows] == [name for name in "abc" for _ in EXAMPLE.discs]
    for name in "abc":
        own = rows_of(cohort.output / f"{name}_grades.csv")
        of_all = [row for row in rows if row["identifier"] == name]
        assert [{column: row[column] for column in own[0]} for row in of_all] == own
        assert {row["input_sha256"] for row in of_all} == {file_sha256(cohort.inputs / f"{name}.nrrd")}
    assert rows[0]["segmentation_model"] == MODELS[0].name and rows[0]["grading_sha256"] == MODELS[1].sha256
    assert states_in(cohort.output) == dict.fromkeys("abc", "graded")


def test_a_second_run_does_nothing_and_changes_nothing(cohort: Cohort) -> None:
    before = cohort.tables()
    summary, done = cohort.run()
    assert (done, summary.unchanged, summary.graded) == ([], 3, 0)
    assert cohort.tables() == before


def test_the_tables_do_not_tell_in_which_order_scans_were_done(cohort: Cohort) -> None:
    output = cohort.output.with_name("backwards")
    output.mkdir()
    backwards = Cohort(cohort.inputs, output)
    backwards.run(cohort.scans()[::-1])
    assert backwards.tables() == cohort.tables()


def test_what_is_new_or_failed_is_done(cohort: Cohort) -> None:
    cohort.write("b", "bad")
    cohort.write("d", "d")
    assert cohort.run()[1] == ["b", "d"]
    assert states_in(cohort.output) == {"a": "graded", "b": "failed", "c": "graded", "d": "graded"}
    assert {row["identifier"] for row in rows_of(cohort.output / "cohort.csv")} == {"a", "c", "d"}
    assert cohort.run()[1] == ["b"]
    cohort.write("b", "mended")
    assert cohort.run()[1] == ["b"]
    assert cohort.run()[1] == []
    assert set(states_in(cohort.output).values()) == {"graded"}


@pytest.mark.parametrize("settled_seconds", [60.0, -60.0], ids=["by its hash", "by the times of its file"])
def test_a_changed_file_is_noticed_though_size_and_date_are_as_before(cohort, monkeypatch, settled_seconds) -> None:
    monkeypatch.setattr(fingerprint, "SETTLED_SECONDS", settled_seconds)
    cohort.run()
    path = cohort.inputs / "b.nrrd"
    status = path.stat()
    cohort.write("b", "B")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cohort.run()[1] == ["b"]


def test_a_file_that_was_only_touched_or_replaced_by_a_copy_is_not_graded_again(cohort, monkeypatch) -> None:
    monkeypatch.setattr(fingerprint, "SETTLED_SECONDS", -60.0)
    cohort.run()
    os.utime(cohort.inputs / "a.nrrd", (1, 1))
    (cohort.inputs / "copy").write_text("b")
    os.replace(cohort.inputs / "copy", cohort.inputs / "b.nrrd")
    assert cohort.run()[1] == []


@pytest.mark.skipif(os.name == "nt", reason="there the hash is always taken")
def test_files_that_lie_still_are_not_read_again(cohort, monkeypatch) -> None:
    monkeypatch.setattr(fingerprint, "SETTLED_SECONDS", -60.0)
    cohort.run()
    opened: list[object] = []
    sys.addaudithook(lambda event, arguments: opened.append(arguments[0]) if event == "open" else None)
    cohort.run()
    assert opened and not [path for path in opened if str(path).startswith(str(cohort.inputs))]


def test_another_model_and_other_settings_grade_all_again(cohort: Cohort) -> None:
    cohort.recipe = replace(RECIPE, models={**RECIPE.models, "grading": "c" * 64})
    assert cohort.run()[1] == ["a", "b", "c"]
    assert {row["grading_sha256"] for row in rows_of(cohort.output / "cohort.csv")} == {"c" * 64}
    scans = [replace(scan, stored_slice=1) if scan.identifier == "b" else scan for scan in cohort.scans()]
    assert cohort.run(scans)[1] == ["b"]
    assert cohort.run(scans)[1] == []


def test_a_result_whose_file_is_gone_is_made_again(cohort: Cohort) -> None:
    (cohort.output / "c_result.json").unlink()
    assert cohort.run()[1] == ["c"]


@pytest.mark.parametrize("lost", ["all", "a line", "a row's end", "nothing but a stranger's table"])
def test_rows_that_were_lost_come_back_from_the_scans_own_tables(cohort: Cohort, lost: str) -> None:
    before = cohort.tables()
    table = cohort.output / "cohort.csv"
    lines = table.read_bytes().splitlines(keepends=True)
    if lost == "all":
        table.unlink()
    elif lost == "a line":
        table.write_bytes(b"".join(lines[:3] + lines[4:]))
    elif lost == "a row's end":
        table.write_bytes(table.read_bytes()[:-40])
    else:
        table.write_text("name,grade\nx,1\n")
    assert cohort.run()[1] == []
    assert cohort.tables() == before


def test_what_a_kill_tore_or_left_without_its_line_in_the_journal_is_taken_out(cohort: Cohort) -> None:
    before = cohort.tables()
    row = (cohort.output / "cohort.csv").read_text().splitlines()[1]
    with (cohort.output / "cohort.csv").open("a") as file:
        file.write(row.replace("a,", "unknown,", 1) + "\n" + row[:50])
    with (cohort.output / "cohort_scans.csv").open("a") as file:
        file.write("unknown,/x.nrrd,,graded\nun")
    with (cohort.output / ".cohort" / "journal.jsonl").open("a") as file:
        file.write('{"row": {"identifier": "unk')
    (cohort.output / ".cohort" / "work").mkdir()  # as it is while a run goes on
    (cohort.output / ".cohort" / "work" / "half.nrrd").touch()
    assert cohort.run()[1] == []
    assert cohort.tables() == before
    assert not (cohort.output / ".cohort" / "work").exists()


def test_a_scan_of_another_run_stays_and_one_that_is_called_otherwise_now_does_not(cohort: Cohort) -> None:
    other = cohort.inputs / "other"
    other.mkdir()
    (other / "x.nrrd").write_text("x")
    summary, done = cohort.run([Scan("x", str(other / "x.nrrd"))])
    assert (done, summary.kept) == (["x"], 3)
    renamed = [replace(scan, identifier=f"case_{scan.identifier}") for scan in cohort.scans()]
    assert cohort.run(renamed)[0].kept == 1
    assert sorted(states_in(cohort.output)) == ["case_a", "case_b", "case_c", "x"]


def test_age_and_sex_may_come_later_without_grading_again(cohort: Cohort) -> None:
    scans = [replace(scan, age="63", sex="F") for scan in cohort.scans()]
    assert cohort.run(scans)[1] == []
    assert {(row["age"], row["sex"]) for row in rows_of(cohort.output / "cohort_scans.csv")} == {("63", "F")}


def test_what_is_skipped_stands_in_the_table_of_scans(cohort: Cohort) -> None:
    cohort.run(skipped=[not_graded(Scan("film.png", "/film.png"), "skipped", "It is a\npicture: \udcff.")])
    (row,) = [row for row in rows_of(cohort.output / "cohort_scans.csv") if row["state"] == "skipped"]
    assert row["reason"] == "It is a picture: %FF." and row["discs"] == ""
    cohort.run()
    assert "film.png" not in states_in(cohort.output)


def test_a_scan_that_was_graded_by_its_name_stays_where_another_run_skips_it(cohort: Cohort) -> None:
    skipped = [not_graded(scan, "skipped", "It is a picture.") for scan in cohort.scans() if scan.identifier == "a"]
    summary, _ = cohort.run([scan for scan in cohort.scans() if scan.identifier != "a"], skipped)
    assert (summary.kept, summary.skipped) == (1, ())
    assert [row["state"] for row in rows_of(cohort.output / "cohort_scans.csv")] == ["graded"] * 3


def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(cohort: Cohort) -> None:
    whole = cohort.tables()

    class Stopped(Cohort):
        def outcomes(self, scans: Sequence[Scan]) -> Iterator[Outcome]:
            yield next(super().outcomes(scans))
            raise KeyboardInterrupt

    output = cohort.output.with_name("stopped")
    output.mkdir()
    stopped = Stopped(cohort.inputs, output)
    assert stopped.run()[0].left == 2
    assert not (output / "cohort.parquet").exists()  # it would lack the rest
    assert states_in(output) == {"a": "graded"} and len(rows_of(output / "cohort.csv")) == len(EXAMPLE.discs)
    again = Cohort(cohort.inputs, output)
    assert again.run()[1] == ["b", "c"]
    assert again.tables() == whole


def test_parquet_has_the_rows_with_numbers_as_numbers(cohort: Cohort) -> None:
    from pyarrow import parquet

    read = parquet.read_table(cohort.output / "cohort.parquet").to_pylist()
    rows = rows_of(cohort.output / "cohort.csv")
    assert [row["identifier"] for row in read] == [row["identifier"] for row in rows]
    assert [row["p_mild"] for row in read] == [float(row["p_mild"]) for row in rows]
    assert [row["pfirrmann"] for row in read] == [int(row["pfirrmann"]) for row in rows]
    assert {type(row["confident"]) for row in read} == {bool} and read[0]["warnings"] == ""


def test_a_cohort_of_which_nothing_was_graded_has_tables_too(cohort: Cohort) -> None:
    output = cohort.output.with_name("bad")
    output.mkdir()
    bad = Cohort(cohort.inputs, output)
    bad.write("a", "bad")
    assert bad.run(bad.scans()[:1])[0].failed == 1
    assert rows_of(output / "cohort.csv") == [] and (output / "cohort.parquet").is_file()


def test_without_pyarrow_the_tables_are_written_and_that_is_told(cohort: Cohort, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where it is not installed
    assert not cohort.run()[0].parquet
    assert not (cohort.output / "cohort.parquet").exists()


def test_two_runs_at_once_are_refused_and_a_dead_one_blocks_nothing(cohort: Cohort) -> None:
    program = (
        "import sys; from pathlib import Path; from LumbarDiscGradingLib.cohort.journal import Journal\n"
        "with Journal.open(Path(sys.argv[1])): print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(cohort.output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "open\n"
        before = cohort.tables()
        with pytest.raises(RunningError, match="Another run writes into"):
            cohort.run()
        assert cohort.tables() == before
    finally:
        holder.kill()
        holder.communicate()
    assert cohort.run()[1] == []


def test_a_cell_has_no_line_break_so_that_a_line_is_a_row(cohort: Cohort) -> None:
    cohort.run([replace(scan, sex="F\nM") for scan in cohort.scans()])
    lines = (cohort.output / "cohort_scans.csv").read_text().splitlines()
    assert len(lines) == 4 and ",F M," in lines[1]
