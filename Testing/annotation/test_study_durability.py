"""Nothing confirmed as saved is ever lost: readers killed, disks full, folders read-only, two processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from example_studies import make_study, read_masks, truth_masks

from LumbarDiscGradingLib.annotation.errors import NotSavedError
from LumbarDiscGradingLib.annotation.log.events import valid_events
from LumbarDiscGradingLib.annotation.protocol import Task
from LumbarDiscGradingLib.annotation.storage.durable_files import append_line, write_durable
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.study.verification import verify_study
from LumbarDiscGradingLib.annotation.work.session import ReaderSession
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS

TESTING = Path(__file__).resolve().parents[1]
LIBRARY = TESTING.parent / "LumbarDiscGrading"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(LIBRARY), str(TESTING / "equipment")])}
KILLS = int(os.environ.get("LUMBAR_DISC_GRADING_KILLS", "40"))
SAVING_SECONDS = float(os.environ.get("LUMBAR_DISC_GRADING_SAVING_SECONDS", "3"))
"""How often and how long; ``Testing/equipment/kill_readers.py`` and a minute are the full measure."""

posix = pytest.mark.skipif(os.name == "nt", reason="forks, limits and permissions of POSIX")


def python(code: str, *arguments: str) -> subprocess.Popen:
    """Run code in a process of its own, with library and test equipment on its path."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@posix
def test_readers_killed_while_saving_lose_nothing_that_was_confirmed() -> None:
    command = [sys.executable, str(TESTING / "equipment" / "kill_readers.py"), "--kills", str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing confirmed was lost" in done.stdout


SAVER = """
    import sys, time
    from LumbarDiscGradingLib.annotation.work.session import ReaderSession
    from LumbarDiscGradingLib.pfirrmann import LUMBAR_LEVELS
    folder, reader, case, seconds = *sys.argv[1:4], float(sys.argv[4])
    session, count, end = ReaderSession.open(folder, reader), 0, time.monotonic() + float(seconds)
    with session.open_case(case) as opened:
        while time.monotonic() < end:
            opened.grade(LUMBAR_LEVELS[count % 5], 1 + count % 4, comment=f"{count}")
            count += 1
    print(count)
"""


def test_processes_that_save_into_one_study_at_once_lose_nothing(tmp_path: Path) -> None:
    """Two readers of one case, and one reader with two windows on different cases."""
    folder = tmp_path / "study"
    make_study(folder, 2)
    work = [("carl", "C0001"), ("dora", "C0001"), ("carl", "C0002")]
    running = [python(SAVER, str(folder), reader, case, str(SAVING_SECONDS)) for reader, case in work]
    counts = []
    for process in running:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        counts.append(int(output))
    study = Study.open(folder)
    logged = dict.fromkeys(work, 0)
    for reader in ("carl", "dora"):
        assert study.histories[reader].log.unreadable_lines == 0
        for line in (folder / "readers" / reader / "events.jsonl").read_text().splitlines():
            for case in ("C0001", "C0002"):
                logged[reader, case] = logged.get((reader, case), 0) + ('"saved"' in line and f'"{case}"' in line)
    assert [logged[key] for key in work] == counts and min(counts) > 5
    for (reader, case), count in zip(work, counts, strict=True):
        with ReaderSession.open(folder, reader).open_case(case) as opened:
            assert opened.discs["L1-L2"].comment == str((count - 1) // 5 * 5)


@posix
def test_on_a_full_disk_the_reader_is_told_and_keeps_the_work(tmp_path: Path) -> None:
    make_study(tmp_path / "study")
    code = """
        import resource, signal, sys
        from pathlib import Path
        from example_studies import truth_masks
        from LumbarDiscGradingLib.annotation.errors import NotSavedError
        from LumbarDiscGradingLib.annotation.protocol import Task
        from LumbarDiscGradingLib.annotation.work.session import ReaderSession
        place = Path(sys.argv[1])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        case = ReaderSession.open(place / "study", "anna").open_case("C0001")
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))  # as if there were room for 300 bytes more
        for attempt in (lambda: case.set_masks(truth_masks()), lambda: case.save(Task.MASKS)):
            try:
                attempt()
            except NotSavedError as error:
                assert "full" in str(error) and "in memory" in str(error), error
            else:
                sys.exit("said to be saved")
        assert case.unsaved == {Task.MASKS} and (case.masks == truth_masks()).all()
        try:
            case.close()
        except NotSavedError as error:
            assert "not saved" in str(error)
        else:
            sys.exit("closed without saving")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        print(*case.save_elsewhere(place / "elsewhere"))
        case.save(Task.MASKS)
        case.close()
    """
    process = python(code, str(tmp_path))
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    elsewhere = tmp_path / "elsewhere" / "anna" / "C0001" / "masks.seg.nrrd"
    inside = tmp_path / "study" / "readers" / "anna" / "cases" / "C0001"
    assert output.split() == [str(elsewhere)]
    assert elsewhere.read_bytes() == (inside / "masks.seg.nrrd").read_bytes()
    assert [path.name for path in inside.iterdir()] == ["masks.seg.nrrd"]  # no half-written file is left
    with ReaderSession.open(tmp_path / "study", "anna").open_case("C0001") as case:
        assert (case.masks == truth_masks()).all()


@posix
def test_on_a_full_disk_a_peer_reviewer_is_told_and_keeps_the_correction(tmp_path: Path) -> None:
    make_study(tmp_path / "study")
    read_masks(tmp_path / "study", "anna", "C0001", truth_masks())
    code = """
        import resource, signal, sys
        from pathlib import Path
        from example_studies import truth_masks
        from LumbarDiscGradingLib.annotation.errors import NotSavedError
        from LumbarDiscGradingLib.annotation.work.session import ReaderSession
        from LumbarDiscGradingLib.pfirrmann import DISC_LABELS
        place = Path(sys.argv[1])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        review = ReaderSession.open(place / "study", "ben").open_review("C0001", "anna")
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
        disc = truth_masks() == DISC_LABELS["L4-L5"]
        disc[0] = False
        try:
            review.correct("L4-L5", disc)
        except NotSavedError as error:
            assert "full" in str(error), error
        else:
            sys.exit("said to be saved")
        assert review.unsaved and "L4-L5" in review.decisions
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert len(review.save_elsewhere(place / "elsewhere")) == 2
        review.save()
        review.close()
    """
    process = python(code, str(tmp_path))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    review = ReaderSession.open(tmp_path / "study", "ben").open_review("C0001", "anna")
    assert not review.masks[0, truth_masks()[0] == DISC_LABELS["L4-L5"]].any()
    assert "L4-L5" not in review.undecided


@posix
def test_in_a_read_only_study_the_reader_is_told_and_keeps_the_work() -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        make_study(Path(place, "study"))
        for path in Path(place).rglob("*"):
            os.chmod(path, 0o555 if path.is_dir() else 0o444)
        Path(place, "own").mkdir()
        os.chmod(Path(place, "own"), 0o777)
        code = """
            import sys
            from pathlib import Path
            from plain_user import give_up_writing_everywhere
            from LumbarDiscGradingLib.annotation.errors import NotSavedError
            from LumbarDiscGradingLib.annotation.protocol import Task
            from LumbarDiscGradingLib.annotation.work.session import ReaderSession
            give_up_writing_everywhere()
            place = Path(sys.argv[1])
            case = ReaderSession.open(place / "study", "carl").open_case("C0001")
            assert "may not be written" in case.problem, case.problem
            assert case.volume.slice_count == 3
            try:
                case.grade("L4-L5", 3)
            except NotSavedError as error:
                assert "may not be written" in str(error)
            else:
                sys.exit("said to be saved")
            assert case.unsaved == {Task.GRADES} and case.discs["L4-L5"].pfirrmann == 3
            print(*case.save_elsewhere(place / "own"))
        """
        process = python(code, place)
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert '"pfirrmann": 3' in Path(output.strip()).read_text()


def test_a_line_torn_by_a_crash_is_passed_over_and_the_next_one_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    make_study(folder)
    with ReaderSession.open(folder, "carl").open_case("C0001") as case:
        case.grade("L1-L2", 2)
    log = folder / "readers" / "carl" / "events.jsonl"
    whole = log.read_bytes()
    for torn in (whole[:60], b'{"kind":"saved"', b"\x00" * 64, b"\xff\xfe", b"[" * 5000):
        log.write_bytes(whole + torn)
        with ReaderSession.open(folder, "carl").open_case("C0001") as case:
            assert case.discs["L1-L2"].pfirrmann == 2
            case.grade("L2-L3", 3)
        history = Study.open(folder).histories["carl"]
        assert history.log.unreadable_lines == 1
        assert len(valid_events(log)) == whole.count(b"\n") + 3  # opened, saved, closed: none fused with the torn one
        assert history.reading("C0001", Task.GRADES).grades == {"L1-L2": 2, "L2-L3": 3}
        assert verify_study(Study.open(folder)) == ["carl: 1 lines of the event log cannot be read."]


def test_a_file_saved_without_its_event_is_offered_as_a_recovered_draft(tmp_path: Path) -> None:
    """As after a crash between the rename of the file and the line in the log."""
    folder = tmp_path / "study"
    make_study(folder)
    log = folder / "readers" / "anna" / "events.jsonl"
    with ReaderSession.open(folder, "anna").open_case("C0001") as case:
        before = log.read_bytes()
        case.set_masks(truth_masks())
    log.write_bytes(before)
    with ReaderSession.open(folder, "anna").open_case("C0001") as case:
        assert case.recovered == (Task.MASKS,) and (case.masks == truth_masks()).all()
        case.sign(Task.MASKS)
    assert verify_study(Study.open(folder)) == []


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durable(path, b"old")
    folder = tmp_path / "taken"
    (folder / "inside").mkdir(parents=True)
    with pytest.raises(NotSavedError):
        write_durable(folder, b"new")  # a folder of that name is in the way
    with pytest.raises(NotSavedError):
        append_line(folder, "new")
    assert path.read_bytes() == b"old" and sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]
