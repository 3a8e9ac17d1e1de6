"""Something of every room, for an answer within a minute and a half: what ``run_tests.py --quick`` runs.

The rule: of each room whole modules of tests that take few seconds, and of slower ones single tests that go through
from end to end. No test here takes more than three seconds; on two free cores all take at most 90 s, checks included.
"""

from __future__ import annotations

from pathlib import Path

TESTING = Path(__file__).resolve().parent

OF_THE_HOUSE = ("test_rooms", "test_equipment::test_each_room_has_quick_tests_and_all_of_them_exist")
OF_A_ROOM = {
    "imaging": ("test_volume", "test_reading", "test_canvas", "test_resampling"),
    "measures": ("test_evaluation_statistics",),
    "dataset": ("test_dataset",),
    "annotation": (
        "test_agreement",
        "test_segmentation_files",
        "test_study::test_a_draft_is_there_again_after_closing_and_signing_makes_it_count",
        "test_study::test_masks_are_reviewed_disc_by_disc_before_they_count",
        "test_study::test_two_masks_that_differ_are_adjudicated_disc_by_disc",
        "test_study::test_nobody_sees_another_reading_or_the_model_before_signing_the_own_one",
    ),
    "networks": ("test_models::test_loading_neither_draws_random_numbers_nor_shares_tensors",),
    "models": (
        "test_models::test_a_flipped_byte_in_the_weights_is_noticed",
        "test_models::test_the_command_installs_lists_and_shows",
    ),
    "grading": (
        "test_corrections",
        "test_levels",
        "test_grading::test_all_lumbar_discs_of_the_sample_are_found_where_they_are",
        "test_grading::test_noise_has_no_discs",
    ),
    "report": (
        "test_file_names",
        "test_report::test_csv_has_the_promised_columns_and_a_row_for_each_disc_head_to_feet",
        "test_report::test_json_is_strict_and_tells_that_it_is_for_research",
        "test_report::test_text_tells_every_warning_before_the_first_grade",
        "test_report::test_labels_never_overlap_and_stay_inside",
    ),
    "evaluation": (
        "test_evaluation::test_dice_iou_and_surface_distance_of_a_shifted_reference",
        "test_evaluation::test_tables_hold_each_reference_disc_and_every_figure",
    ),
    "training": (
        "test_disc_crops::test_training_and_grading_see_the_same_crop",
        "test_training::test_patches_of_an_epoch_can_be_repeated_exactly_and_differ_between_epochs",
        "test_training::test_the_paper_preset_trains_an_epoch_of_whole_slices_on_the_disc_alone",
    ),
    "cohort": (
        "test_scan_list",
        "test_finding::test_two_studies_of_one_patient_on_one_day_are_two",
        "test_running::test_what_is_new_or_failed_is_done",
        "test_cohort_page::test_scans_are_counted_by_what_became_of_them",
        "test_cohort_page::test_reasons_that_differ_only_by_their_scan_are_one_line",
    ),
    "headless": ("test_graded_case",),
    "scene": ("test_scene", "test_scene_files", "test_loaded_volumes", "test_earlier_files"),
    "panel": (
        "test_adjudication_section",
        "test_agreement_section",
        "test_panel::test_grading_colors_the_discs_and_fills_the_table",
        "test_panel::test_a_second_click_cancels_and_leaves_the_scene_as_it_was",
        "test_panel::test_setting_one_level_moves_the_others_along",
        "test_review_panel::test_a_study_is_graded_by_keys_alone",
        "test_review_panel::test_what_cannot_be_saved_is_said_and_kept_and_saved_later",
        "test_review_panel::test_each_stroke_is_saved_and_the_group_colors_the_disc",
    ),
    "cli": ("test_study_command", "test_grade_command::test_the_slice_is_counted_in_the_files_order"),
}
"""Modules, and tests of modules, by the room that they are about."""


def quick_tests() -> list[str]:
    """Return the paths of modules and the node ids of single tests, as pytest takes them.

    Raises
    ------
    FileNotFoundError
        If a module is not there.
    """
    found = []
    for name in (*OF_THE_HOUSE, *(name for names in OF_A_ROOM.values() for name in names)):
        module, _, test = name.partition("::")
        paths = list(TESTING.rglob(f"{module}.py"))
        if not paths:
            raise FileNotFoundError(f"{module} is not there; correct its name in {Path(__file__).name}.")
        found.append("::".join([str(paths[0]), *([test] if test else [])]))
    return found
