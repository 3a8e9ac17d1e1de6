"""A study on disk: readings, states, blinding, peer review, adjudication and locks, through the reader's session."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from example_studies import (
    SHAPE,
    eroded,
    image,
    make_study,
    protocol,
    read_grades,
    read_masks,
    truth_masks,
    two_annotators,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from LumbarDiscGradingLib.annotation.errors import BlindedError, ChangedElsewhereError, StudyError, WorkflowError
from LumbarDiscGradingLib.annotation.log.events import now
from LumbarDiscGradingLib.annotation.protocol import AdjudicationRule, Reader, Role, Task
from LumbarDiscGradingLib.annotation.study.reference import consensus_grades, consensus_masks
from LumbarDiscGradingLib.annotation.study.states import CaseState
from LumbarDiscGradingLib.annotation.study.study import Study
from LumbarDiscGradingLib.annotation.study.verification import verify_study
from LumbarDiscGradingLib.annotation.work.session import MODEL, Duty, ReaderSession
from LumbarDiscGradingLib.pfirrmann import DISC_LABELS, LUMBAR_LEVELS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_study(tmp_path / "study")
    return tmp_path / "study"


def session(folder: Path, reader: str) -> ReaderSession:
    return ReaderSession.open(folder, reader)


def state(folder: Path, case: str, task: Task) -> CaseState:
    return session(folder, "emil").states.state(case, task)


def test_an_image_comes_back_voxel_by_voxel_where_it_was(folder):
    study, original = Study.open(folder), image(1)
    volume = study.case("C0002").volume()
    assert np.array_equal(volume.voxels, original.voxels) and volume.voxels.dtype == np.int16
    assert np.allclose(volume.index_to_lps, original.index_to_lps)
    assert (volume.stored_axes, volume.stored_flipped) == (original.stored_axes, original.stored_flipped)


def test_a_draft_is_there_again_after_closing_and_signing_makes_it_count(folder):
    with session(folder, "carl").open_case("C0001") as case:
        case.grade("L4-L5", 3, confidence=2, comment="bulge", seconds=4.0)
        case.grade("L5-S1", None, assessable=False, seconds=1.5)
        assert case.unsaved == set()
    assert state(folder, "C0001", Task.GRADES) is CaseState.DRAFT
    with session(folder, "carl").open_case("C0001") as case:
        assert (case.discs["L4-L5"].pfirrmann, case.discs["L4-L5"].comment) == (3, "bulge")
        assert not case.discs["L5-S1"].assessable
        assert case.recovered == () and case.seconds(Task.GRADES) == 5.5
        with pytest.raises(WorkflowError, match="L1-L2, L2-L3, L3-L4 has no grade"):
            case.sign(Task.GRADES)
        for level in LUMBAR_LEVELS[:3]:
            case.grade(level, 2)
        case.sign(Task.GRADES)
        with pytest.raises(WorkflowError, match="reopen"):
            case.grade("L4-L5", 4)
    assert state(folder, "C0001", Task.GRADES) is CaseState.DRAFT  # the second grader is still to come


def ended(folder, reader: str) -> None:
    """Let the mark of a reader be as old as it is after the program has ended some time ago."""
    mark = folder / "readers" / reader / "reading-now.json"
    os.utime(mark, (mark.stat().st_atime, mark.stat().st_mtime - 3600))


def test_a_draft_left_by_a_crash_is_offered_as_it_was(folder):
    crashed = session(folder, "anna").open_case("C0001")
    crashed.set_masks(truth_masks())
    ended(folder, "anna")
    with session(folder, "anna").open_case("C0001") as case:
        assert case.recovered == (Task.MASKS,)
        assert np.array_equal(case.masks, truth_masks())
    with session(folder, "anna").open_case("C0001") as case:
        assert case.recovered == ()


def test_two_equal_gradings_agree_and_two_different_ones_are_adjudicated(folder):
    read_grades(folder, "carl", "C0001", [1, 2, 3, 4, 5])
    assert state(folder, "C0001", Task.GRADES) is CaseState.DRAFT
    read_grades(folder, "dora", "C0001", [1, 2, 3, 4, 5])
    assert state(folder, "C0001", Task.GRADES) is CaseState.AGREED
    read_grades(folder, "carl", "C0002", [1, 2, 3, 4, 5])
    read_grades(folder, "dora", "C0002", [1, 2, 4, 4, 0])
    assert state(folder, "C0002", Task.GRADES) is CaseState.DISCORDANT
    emil = session(folder, "emil")
    assert [item.case for item in emil.work_list(Task.GRADES, Duty.ADJUDICATE)] == ["C0002"]
    adjudication = emil.open_adjudication("C0002", Task.GRADES)
    assert [(d.level, {d.first, d.second}) for d in adjudication.disagreements] == [
        ("L3-L4", {3, 4}),
        ("L5-S1", {5, 0}),
    ]
    with pytest.raises(WorkflowError, match="reason"):
        adjudication.decide("L3-L4", "A", " ")
    with pytest.raises(WorkflowError):
        adjudication.decide("L1-L2", "A", "not in dispute")
    adjudication.decide("L3-L4", "A", "nucleus grey")
    with pytest.raises(WorkflowError, match="L5-S1 is not decided"):
        adjudication.sign()
    again = session(folder, "emil").open_adjudication("C0002", Task.GRADES)  # decisions survive the program
    again.decide("L5-S1", "own", "collapsed", grade=5)
    again.sign()
    assert state(folder, "C0002", Task.GRADES) is CaseState.ADJUDICATED
    chosen = adjudication.disagreements[0].first
    expected = {"L1-L2": 1, "L2-L3": 2, "L3-L4": chosen, "L4-L5": 4, "L5-S1": 5}
    assert consensus_grades(session(folder, "ben").states, "C0002") == expected


def test_an_adjudication_counts_only_for_the_readings_it_settled(folder):
    read_grades(folder, "carl", "C0001", [1, 2, 3, 4, 5])
    read_grades(folder, "dora", "C0001", [1, 2, 4, 4, 5])
    adjudication = session(folder, "emil").open_adjudication("C0001", Task.GRADES)
    adjudication.decide("L3-L4", "B", "seen again")
    adjudication.sign()
    with session(folder, "carl").open_case("C0001") as case:
        case.reopen(Task.GRADES, "wrong disc")
        case.grade("L1-L2", 3)
        case.sign(Task.GRADES)
    assert state(folder, "C0001", Task.GRADES) is CaseState.DISCORDANT
    assert consensus_grades(session(folder, "emil").states, "C0001") == {}
    kept = folder / "readers" / "carl" / "cases" / "C0001" / "grades-signed-1.json"
    assert json.loads(kept.read_text())["discs"][0]["pfirrmann"] == 1


def test_masks_are_reviewed_disc_by_disc_before_they_count(folder):
    read_masks(folder, "anna", "C0001", truth_masks())
    assert state(folder, "C0001", Task.MASKS) is CaseState.SIGNED
    review = session(folder, "ben").open_review("C0001", "anna")
    assert state(folder, "C0001", Task.MASKS) is CaseState.IN_REVIEW
    for level in LUMBAR_LEVELS[:4]:
        review.accept(level)
    corrected = eroded(truth_masks(), "L5-S1", 1) == DISC_LABELS["L5-S1"]
    review.correct("L5-S1", corrected, "annulus only")
    assert review.undecided == ()
    review.sign()
    assert state(folder, "C0001", Task.MASKS) is CaseState.CORRECTED
    final = consensus_masks(session(folder, "emil").states, "C0001")
    assert np.array_equal(final, eroded(truth_masks(), "L5-S1", 1))
    own = Study.open(folder)
    assert np.array_equal(own.masks(own.reading_path("anna", "C0001", Task.MASKS), "C0001").voxels, truth_masks())
    with pytest.raises(WorkflowError, match="signed"):
        review.accept("L1-L2")


def test_masks_are_not_signed_with_a_level_forgotten(folder):
    labels = np.where(truth_masks() == DISC_LABELS["L1-L2"], 0, truth_masks())
    with session(folder, "anna").open_case("C0001") as case:
        case.set_masks(labels)
        with pytest.raises(WorkflowError, match="L1-L2 has no mask yet"):
            case.sign(Task.MASKS)
        with pytest.raises(WorkflowError, match="L1-L2 has no mask yet"):
            case.sign(Task.MASKS, without=("L5-S1",))
        case.sign(Task.MASKS, without=("L1-L2",))
    assert state(folder, "C0001", Task.MASKS) is CaseState.SIGNED


def test_an_accepted_review_is_void_once_the_annotator_draws_again(folder):
    read_masks(folder, "anna", "C0001", truth_masks())
    review = session(folder, "ben").open_review("C0001", "anna")
    for level in LUMBAR_LEVELS:
        review.accept(level)
    review.sign()
    assert state(folder, "C0001", Task.MASKS) is CaseState.ACCEPTED
    with session(folder, "anna").open_case("C0001") as case:
        case.reopen(Task.MASKS, "missed the edge")
        case.set_masks(eroded(truth_masks(), "L1-L2", 1))
        case.sign(Task.MASKS)
    assert state(folder, "C0001", Task.MASKS) is CaseState.SIGNED


def test_two_masks_that_differ_are_adjudicated_disc_by_disc(tmp_path):
    folder = tmp_path / "study"
    make_study(folder, **two_annotators(dice_limit=0.9))
    half = eroded(truth_masks(), "L3-L4", 3)
    read_masks(folder, "anna", "C0001", truth_masks())
    read_masks(folder, "ben", "C0001", half)
    emil = session(folder, "emil")
    assert emil.states.state("C0001", Task.MASKS) is CaseState.DISCORDANT
    adjudication = emil.open_adjudication("C0001", Task.MASKS)
    assert [d.level for d in adjudication.disagreements] == ["L3-L4"]
    assert adjudication.disagreements[0].reason == "Dice 0.57"  # 2 of 5 rows: 2 * 2 / (2 + 5)
    ours = "A" if np.array_equal(adjudication.masks_a, half) else "B"
    adjudication.decide("L3-L4", ours, "posterior wall")
    adjudication.sign()
    assert np.array_equal(consensus_masks(session(folder, "anna").states, "C0001"), half)


def test_a_disc_named_differently_is_a_level_conflict(tmp_path):
    folder = tmp_path / "study"
    make_study(folder, **two_annotators())
    shifted = truth_masks()
    for upper, lower in itertools.pairwise(LUMBAR_LEVELS):
        shifted[truth_masks() == DISC_LABELS[lower]] = DISC_LABELS[upper]
    shifted[truth_masks() == DISC_LABELS["L1-L2"]] = 0
    read_masks(folder, "anna", "C0001", truth_masks())
    read_masks(folder, "ben", "C0001", shifted)
    found = session(folder, "emil").states.disagreements("C0001", Task.MASKS)
    assert {d.reason for d in found if d.level != "L1-L2"} == {"level conflict"}


def test_a_rule_may_leave_disagreements_out_of_the_reference(tmp_path):
    folder = tmp_path / "study"
    make_study(folder, adjudication=AdjudicationRule.LEAVE_OUT)
    read_grades(folder, "carl", "C0001", [1, 2, 3, 4, 5])
    read_grades(folder, "dora", "C0001", [1, 2, 4, 4, 5])
    states = session(folder, "emil").states
    assert states.is_finished("C0001", Task.GRADES)
    assert consensus_grades(states, "C0001") == {"L1-L2": 1, "L2-L3": 2, "L4-L5": 4, "L5-S1": 5}
    with pytest.raises(WorkflowError, match="leaves disagreements out"):
        session(folder, "emil").open_adjudication("C0001", Task.GRADES)


def test_nobody_sees_another_reading_or_the_model_before_signing_the_own_one(folder):
    read_grades(folder, "dora", "C0001", [1, 2, 3, 4, 5])
    carl = session(folder, "carl")
    for whose in ("dora", MODEL):
        with pytest.raises(BlindedError, match="sign the own reading"):
            carl.require_sight("C0001", Task.GRADES, whose)
    with pytest.raises(BlindedError):
        carl.reading("C0001", Task.GRADES, "dora")
    with pytest.raises(BlindedError):  # an annotator has no reading of grades to sign, so never sees one
        session(folder, "anna").reading("C0001", Task.GRADES, "dora")
    read_grades(folder, "carl", "C0001", [1, 2, 3, 4, 4])
    carl.refresh()
    assert carl.reading("C0001", Task.GRADES, "dora").grades["L5-S1"] == 5
    assert carl.may_see("C0001", Task.GRADES, MODEL)
    with carl.open_case("C0001") as case:
        case.reopen(Task.GRADES, "second thoughts")
    assert not carl.may_see("C0001", Task.GRADES, "dora")
    log = (folder / "readers" / "carl" / "events.jsonl").read_text()
    assert '"after_seeing":true' in log


def test_masks_are_prefilled_and_shown_to_graders_only_where_the_protocol_says_so(tmp_path):
    strict, open_ = tmp_path / "strict", tmp_path / "open"
    make_study(strict)
    make_study(open_, model_prefill=True, graders_see_masks=True, peer_review=False)
    with session(strict, "anna").open_case("C0001") as case, pytest.raises(WorkflowError, match="pre-filled"):
        case.prefill_masks(truth_masks(), "a" * 64)
    with pytest.raises(BlindedError):
        session(strict, "carl").finished_masks("C0001")
    with session(open_, "anna").open_case("C0001") as case:
        case.prefill_masks(truth_masks(), "a" * 64)
        with pytest.raises(WorkflowError, match="already"):
            case.prefill_masks(truth_masks(), "b" * 64)
    anna = session(open_, "anna")
    assert anna.history.reading("C0001", Task.MASKS).model_sha256 == "a" * 64
    assert session(open_, "carl").finished_masks("C0001") is None
    with anna.open_case("C0001") as case:
        case.sign(Task.MASKS)
    assert np.array_equal(session(open_, "carl").finished_masks("C0001"), truth_masks())


def test_readers_do_only_what_their_roles_allow(folder):
    with pytest.raises(StudyError, match="no reader 'zoe'"):
        session(folder, "zoe")
    with pytest.raises(WorkflowError, match="does not read"):
        session(folder, "emil").open_case("C0001")
    with session(folder, "carl").open_case("C0001") as case, pytest.raises(WorkflowError):
        case.set_masks(truth_masks())
    with pytest.raises(WorkflowError, match="not signed yet"):
        session(folder, "ben").open_review("C0001", "anna")
    read_masks(folder, "anna", "C0001", truth_masks())
    with pytest.raises(WorkflowError, match="may not review"):
        session(folder, "anna").open_review("C0001", "anna")
    with pytest.raises(WorkflowError, match="may not adjudicate"):
        session(folder, "carl").open_adjudication("C0001", Task.GRADES)


def test_a_locked_case_cannot_be_reopened_until_it_is_unlocked_with_a_reason(folder):
    for reader in ("carl", "dora"):
        read_grades(folder, reader, "C0001", [1, 2, 3, 4, 5])
    with pytest.raises(WorkflowError, match="not finished"):
        session(folder, "emil").lock("C0002", Task.GRADES)
    with pytest.raises(WorkflowError, match="cannot lock"):
        session(folder, "carl").lock("C0001", Task.GRADES)
    session(folder, "emil").lock("C0001", Task.GRADES)
    assert state(folder, "C0001", Task.GRADES) is CaseState.LOCKED
    with session(folder, "carl").open_case("C0001") as case, pytest.raises(WorkflowError, match="locked"):
        case.reopen(Task.GRADES, "typo")
    with pytest.raises(WorkflowError, match="reason"):
        session(folder, "emil").unlock("C0001", Task.GRADES, "")
    session(folder, "ben").unlock("C0001", Task.GRADES, "typo reported")
    assert state(folder, "C0001", Task.GRADES) is CaseState.AGREED


def test_repeats_come_later_blind_and_do_not_change_the_state(tmp_path):
    folder = tmp_path / "study"
    make_study(folder, cases=6, repeat_share=1.0, tasks=(Task.GRADES,))
    items = session(folder, "carl").work_list(Task.GRADES)
    assert len(items) == 12 and all(item.title == f"No. {item.number}" for item in items)
    place = {(item.case, item.round): item.number for item in items}
    assert all(place[case, 2] > place[case, 1] for case, _ in place)
    with pytest.raises(WorkflowError, match="again"):
        session(folder, "carl").open_case("C0001", 2)
    read_grades(folder, "carl", "C0001", [1, 2, 3, 4, 5])
    carl = session(folder, "carl")
    with carl.open_case("C0001", 2) as case:
        assert case.discs == {}
        assert not carl.may_see("C0001", Task.GRADES, "carl")  # not even the own first reading
    read_grades(folder, "dora", "C0001", [1, 2, 3, 4, 5])
    carl.refresh()
    assert not carl.may_see("C0001", Task.GRADES, "dora")  # the repeat is still to come
    read_grades(folder, "carl", "C0001", [1, 2, 3, 4, 4], round_number=2)
    assert state(folder, "C0001", Task.GRADES) is CaseState.AGREED


def test_each_reader_has_an_own_order_that_new_cases_do_not_shuffle(tmp_path):
    folder = tmp_path / "study"
    make_study(folder, cases=12)
    orders = {r: [item.case for item in session(folder, r).work_list(Task.GRADES)] for r in ("carl", "dora")}
    assert orders["carl"] != orders["dora"] and sorted(orders["carl"]) == sorted(orders["dora"])
    Study.open(folder).add_case(image(99))
    longer = [item.case for item in session(folder, "carl").work_list(Task.GRADES)]
    assert [case for case in longer if case != "C0013"] == orders["carl"]


def test_the_work_list_filters_counts_and_leads_on(folder):
    read_grades(folder, "carl", "C0002", [1, 2, 3, 4, 5])
    carl = session(folder, "carl")
    assert [i.case for i in carl.work_list(Task.GRADES, states={CaseState.SIGNED})] == ["C0002"]
    assert [i.case for i in carl.work_list(Task.GRADES, text="c0003")] == ["C0003"]
    progress = carl.progress(Task.GRADES)
    assert (progress.done, progress.total, progress.seconds) == (1, 3, 10.0)
    first = carl.next_item(Task.GRADES)
    second = carl.next_item(Task.GRADES, after=first)
    assert {first.case, second.case} == {"C0001", "C0003"}


def test_a_second_window_knows_of_the_first_and_does_not_end_its_mark(folder):
    first_session, second_session = session(folder, "anna"), session(folder, "anna")
    first = first_session.open_case("C0001")
    first.set_masks(truth_masks())
    second = second_session.open_case("C0001")
    assert second.open_elsewhere.since <= now() and second.recovered == () and first.open_elsewhere is None
    first.keep_alive()
    second.close()
    third = session(folder, "anna")
    assert [item.being_read_by for item in third.work_list(Task.MASKS) if item.case == "C0001"] == [("anna",)]
    assert third.next_item(Task.MASKS).case != "C0001"
    first.close()
    assert third.open_case("C0001").open_elsewhere is None


def test_a_case_open_elsewhere_is_marked_until_the_mark_goes_stale(folder):
    opened = session(folder, "dora").open_case("C0001")
    by_case = {item.case: item for item in session(folder, "carl").work_list(Task.GRADES)}
    assert by_case["C0001"].being_read_by == ("dora",) and by_case["C0002"].being_read_by == ()
    assert session(folder, "carl").next_item(Task.GRADES).case != "C0001"
    mark = folder / "readers" / "dora" / "reading-now.json"
    ended(folder, "dora")
    assert all(not item.being_read_by for item in session(folder, "carl").work_list(Task.GRADES))
    opened.keep_alive()
    assert any(item.being_read_by for item in session(folder, "carl").work_list(Task.GRADES))
    opened.close()
    assert not mark.exists()


def test_a_model_orders_unread_cases_only_where_the_protocol_allows_it(tmp_path):
    gains = {"C0001": 0.2, "C0002": 0.9, "C0003": 0.5}
    make_study(tmp_path / "strict")
    with pytest.raises(WorkflowError, match="does not allow"):
        session(tmp_path / "strict", "carl").work_list(Task.GRADES, priority=lambda cases: gains)
    make_study(tmp_path / "active", cases=4, active_learning=True)
    read_grades(tmp_path / "active", "carl", "C0002", [1, 2, 3, 4, 5])
    items = session(tmp_path / "active", "carl").work_list(Task.GRADES, priority=lambda cases: gains)
    assert [item.case for item in items if item.state is CaseState.UNREAD] == ["C0003", "C0001", "C0004"]


def test_two_windows_of_one_reader_do_not_overwrite_each_other(folder):
    first, second = session(folder, "carl").open_case("C0001"), session(folder, "carl").open_case("C0001")
    first.grade("L1-L2", 1)
    with pytest.raises(ChangedElsewhereError, match="another window"):
        second.grade("L2-L3", 2)
    assert second.unsaved == {Task.GRADES} and second.discs["L2-L3"].pfirrmann == 2
    with pytest.raises(StudyError, match="not saved"):
        second.close()
    second.reload(Task.GRADES)
    second.grade("L2-L3", 2)
    with session(folder, "carl").open_case("C0001") as case:
        assert {level: disc.pfirrmann for level, disc in case.discs.items()} == {"L1-L2": 1, "L2-L3": 2}


def test_the_chosen_slice_is_remembered(folder):
    with session(folder, "carl").open_case("C0001") as case:
        assert case.slice_index is None
        case.choose_slice(2)
        with pytest.raises(StudyError):
            case.choose_slice(SHAPE[0])
    with session(folder, "carl").open_case("C0001") as case:
        assert case.slice_index == 2


def test_masks_that_do_not_fit_are_refused(folder):
    with session(folder, "anna").open_case("C0001") as case:
        with pytest.raises(StudyError, match="size of the image"):
            case.set_masks(truth_masks()[:1])
        with pytest.raises(StudyError, match="no disc levels"):
            case.set_masks(np.full(SHAPE, 7, np.uint8))
        assert case.masks is None and case.unsaved == set()


def test_a_protocol_that_cannot_work_is_refused():
    with pytest.raises(StudyError, match="2 graders"):
        protocol(readers=(Reader("anna", (Role.ANNOTATOR, Role.GRADER)), Reader("ben", (Role.PEER_REVIEWER,))))
    with pytest.raises(StudyError, match="no peer reviewer"):
        protocol(readers=(Reader("anna", (Role.ANNOTATOR,)),), tasks=(Task.MASKS,))
    with pytest.raises(StudyError, match="twice"):
        protocol(readers=(Reader("anna", (Role.ANNOTATOR,)), Reader("anna", (Role.GRADER,))))


@settings(max_examples=6)
@given(st.randoms(use_true_random=False))
def test_whatever_readers_do_all_see_the_same_states_as_one_who_opens_the_study_now(dice):
    """Readers act at random; sessions that follow the logs line by line agree with a study read from the start."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "study")
        make_study(folder, cases=2)
        sessions = {reader.id: session(folder, reader.id) for reader in protocol().readers}
        for _ in range(60):
            acting = sessions[dice.choice(sorted(sessions))]
            with contextlib.suppress(WorkflowError):
                act_at_random(acting, dice)
            onlooker = sessions[dice.choice(sorted(sessions))]
            onlooker.refresh()
            fresh = session(folder, "emil").states
            for case in ("C0001", "C0002"):
                for task in Task:
                    assert onlooker.states.state(case, task) is fresh.state(case, task)
                    assert consensus_grades(onlooker.states, case) == consensus_grades(fresh, case)
        assert verify_study(Study.open(folder)) == []


def act_at_random(acting: ReaderSession, dice) -> None:
    acting.refresh()
    case, task = dice.choice(("C0001", "C0002")), dice.choice(list(Task))
    duty = dice.choice(("read", "read", "review", "adjudicate", "lock", "unlock"))
    if duty == "read":
        with acting.open_case(case) as opened:
            if opened.is_signed(opened.tasks[0]):
                opened.reopen(opened.tasks[0], "again")
            elif opened.tasks[0] is Task.MASKS:
                opened.set_masks(eroded(truth_masks(), dice.choice(LUMBAR_LEVELS), dice.randrange(4)))
            else:
                for level in LUMBAR_LEVELS:
                    opened.grade(level, dice.randrange(1, 3))
            if dice.random() < 0.7:
                opened.sign(opened.tasks[0])
    elif duty == "review":
        review = acting.open_review(case, "anna")
        for level in review.undecided:
            review.accept(level)
        review.sign()
    elif duty == "adjudicate":
        adjudication = acting.open_adjudication(case, task)
        for found in adjudication.disagreements:
            adjudication.decide(found.level, dice.choice("AB"), "at random")
        adjudication.sign()
    elif duty == "lock":
        acting.lock(case, task)
    else:
        acting.unlock(case, task, "at random")
