"""The report of an evaluation: one HTML file that carries its pictures; only the contact sheets lie beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ..dataset.labelled import person_count
from ..measures.classification import Average, calibration_error_by_chance
from ..pfirrmann import GROUPS, ROMAN_GRADES
from ..resources import resource_path
from .contact_sheets import PATIENTS_PER_SHEET, ContactSheet, names_silently_wrong, write_contact_sheets
from .contour_sides import SIDES
from .failures import Error, Failure, one_for_shifted_levels
from .files import CONTACT_SHEETS_FOLDER, FAILURES_NAME, PICTURES_FOLDER, REPORT_NAME, Evaluation, write_tables
from .html import coloured, confusion_table, definitions, group_word, plural, sentence_case, table
from .measures import (
    ALL_DISCS,
    CONFIDENT,
    LUMBAR,
    ONE_CLASS_FIGURES,
    PAPER_FIGURES,
    PAPER_QUARTILES,
    PAPER_TABLE_2,
    SET_COVERAGE,
    SET_SIZE,
    UNCERTAIN,
    auc_name,
    graded_scores,
    outward_name,
    table_2_name,
)
from .metrics import Figure, confusion, sources_of
from .pictures import PictureStore, disc_thumbnail, jpeg_data_url, side_by_side
from .plots import dice_plot, inline_svg, reliability_plot, roc_plot, save_png
from .scores import DiscScore

TITLE = "Lumbar disc grading: evaluation"
SHOWN_FAILURES = 36
"""More thumbnails than this nobody looks at; the table of failures has them all."""
HEADLINES = (
    "median disc Dice",
    "lumbar discs found and rightly named",
    "patients with all lumbar discs found and rightly named",
    "patients with a lumbar disc not found or wrongly named, and no word of it",
    "graded discs found",
    "quadratic kappa of the groups",
    "linear kappa of the groups",
    "unweighted kappa of the groups",
    "balanced accuracy of the groups",
    "accuracy of the groups",
    "AUC mild-serious",
    "expected calibration error of the groups",
)
NAMING = (
    "lumbar discs found and rightly named",
    "patients with all lumbar discs found and rightly named",
    "patients with a lumbar disc not found or wrongly named, and no word of it",
    "patients rightly named whose names are questioned",
)
NOTHING = "&ndash;"

Lookup = Mapping[tuple[str, str, str], Figure]


def write_report(evaluation: Evaluation, folder: Path, pictures: PictureStore | None = None) -> Path:
    """Write tables, pictures, contact sheets and ``report.html`` into a folder and return the report's path.

    Parameters
    ----------
    evaluation : Evaluation
    folder : Path
    pictures : PictureStore, optional
        The slices; without them the report has no pictures of patients.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    write_tables(evaluation, folder)
    (folder / PICTURES_FOLDER).mkdir(exist_ok=True)
    sheets: list[ContactSheet] = []
    if pictures is not None:
        sheets = write_contact_sheets(evaluation.scores, pictures, folder / CONTACT_SHEETS_FOLDER)
    page = _Page(evaluation, folder / PICTURES_FOLDER, pictures, sheets)
    template = Template(resource_path("Evaluation", "report.html").read_text(encoding="utf-8"))
    text = template.substitute(title=escape(TITLE), facts=page.facts(), body=page.body())
    path = folder / REPORT_NAME
    path.write_text(text, encoding="utf-8")
    return path


class _Page:
    """The sections of a report."""

    def __init__(
        self, evaluation: Evaluation, folder: Path, pictures: PictureStore | None, sheets: Sequence[ContactSheet]
    ) -> None:
        self.evaluation, self.folder, self.pictures, self.sheets = evaluation, folder, pictures, sheets
        self.sources = sources_of(evaluation.scores)
        self.figures: Lookup = {(f.source, f.part, f.name): f for f in evaluation.figures}

    def body(self) -> str:
        return "\n".join(
            (
                self.headlines(),
                self.segmentation(),
                self.naming(),
                self.grading(),
                self.calibration(),
                self.prediction_sets(),
                self.levels(),
                self.contact_sheets(),
                self.failures(),
                definitions(),
            )
        )

    def facts(self) -> str:
        e = self.evaluation
        models = [
            f"{m.get('name')} {m.get('version', '')} ({m.get('task')}, {str(m.get('sha256'))[:12]})" for m in e.models
        ]
        patients = {name: person_count(scores) for name, scores in _single(self.sources).items()}
        described = {entry["name"]: entry for entry in e.data}
        data = []
        for name, count in patients.items():
            entry = described.get(name, {})
            licence = " ".join(str(entry.get(key, "")) for key in ("attribution", "licence")).strip()
            discs = len(self.sources[name])
            data.append(f"{name}: {plural(count, 'patient')}, {plural(discs, 'reference disc')}. {licence}".strip())
        rows = [("Models", models), ("Split", [e.split]), ("Data", data)]
        if e.degradation:
            rows.append(("Changed first", [e.degradation]))
        if e.problems:
            rows.append(("Not graded", list(e.problems)))
        rows.append(("In brackets", ["95 % bootstrap interval by patient"]))
        items = "".join(
            f"<dt>{escape(name)}</dt><dd>{'<br>'.join(map(escape, lines))}</dd>" for name, lines in rows if lines
        )
        return f"<dl>{items}</dl>"

    def headlines(self) -> str:
        return "<h2>At a glance</h2>" + self._by_source(HEADLINES, "")

    def segmentation(self) -> str:
        if not any(name == "median disc Dice" for _, _, name in self.figures):
            return "<h2>Segmentation</h2><p>No reference masks.</p>"
        header = ("", "Discs", "Dice, median (quartiles)", "mean", "IoU, median (quartiles)", "mean")
        rows = []
        for name in _single(self.sources):
            if (name, ALL_DISCS, "median disc Dice") in self.figures:
                rows.append(self._table_1_row(name))
        paper = ["Study, test set", "94"]
        for key in ("median disc Dice", "median disc IoU"):
            low, high = PAPER_QUARTILES[key]
            paper += [f"{PAPER_FIGURES[key]:.3f} ({low:.3f}, {high:.3f})", NOTHING]
        rows.append(paper)
        parts = [
            "<h2>Segmentation</h2>",
            table(
                header, rows, "Table 1. Dice and IoU of each disc on the graded slice. A missed disc counts as 0.", 1
            ),
            self._by_source(
                (
                    "median disc Dice",
                    "median disc IoU",
                    "surface distance of discs found, mean in mm",
                    "95 % surface distance of discs found, mean in mm",
                    *map(outward_name, SIDES),
                    "discs found under any name",
                    "slice found: median distance from the mid-sagittal one in mm",
                    "slice found: largest distance from the mid-sagittal one in mm",
                ),
                "Contours and slice.",
            ),
            self._plot(
                "dice_by_level",
                dice_plot(_single(self.sources)),
                "Dice of each disc by level; bars: median, quartiles.",
            ),
            self._examples(),
        ]
        return "\n".join(parts)

    def naming(self) -> str:
        if not any(name == NAMING[0] for _, _, name in self.figures):
            return "<h2>Names of the levels</h2><p>No reference masks or points.</p>"
        columns = ("Discs right", "Patients right", "Silently wrong", "Needlessly questioned")
        rows = []
        for source in self.sources:
            if (source, ALL_DISCS, NAMING[0]) in self.figures:
                rows.append([escape(source), *(self._count(source, name) for name in NAMING)])
        caption = (
            "Table 3. Names by reference masks or points. Right: found and rightly named; of patients, all their "
            "lumbar discs. Silently wrong: patients with a lumbar disc not found or wrongly named, and no word of it. "
            "Needlessly questioned: of the patients rightly named."
        )
        return "<h2>Names of the levels</h2>" + table(("", *columns), rows, caption) + self._silently_wrong()

    def _silently_wrong(self) -> str:
        by_patient: dict[tuple[str, str], list[DiscScore]] = {}
        for score in self.evaluation.scores:
            by_patient.setdefault((score.source, score.patient), []).append(score)
        wrong = [key for key, scores in by_patient.items() if names_silently_wrong(scores)]
        if not wrong:
            return ""
        where = {(sheet.source, patient): sheet for sheet in self.sheets for patient in sheet.patients}
        items = [f"{escape(' '.join(key))}{_link_in_brackets(where.get(key))}" for key in wrong]
        return f"<p>Silently wrong: {', '.join(items)}.</p>"

    def contact_sheets(self) -> str:
        if not self.sheets:
            return ""
        items = "".join(
            f"<li>{_link(sheet)}: {escape(f'{sheet.source}, {sheet.patients[0]} to {sheet.patients[-1]}')}</li>"
            for sheet in self.sheets
        )
        text = (
            f"Up to {PATIENTS_PER_SHEET} patients on a picture: contour, level, grade and reference grade of each "
            f"disc. They lie beside this page in the folder {CONTACT_SHEETS_FOLDER}."
        )
        return f"<h2>Contact sheets</h2><p>{escape(text)}</p><ul>{items}</ul>"

    def grading(self) -> str:
        if not any(name == "accuracy of the groups" for _, _, name in self.figures):
            return "<h2>Grading</h2><p>No graded discs with a reference grade.</p>"
        rows = []
        for source in self.sources:
            for average in Average:
                cells = [self._value(source, ALL_DISCS, table_2_name(name, average)) for name in ONE_CLASS_FIGURES]
                first = f"{escape(source)}, {average.value}"
                rows.append([first, self._n(source, "accuracy of the groups"), *cells])
        rows.append(
            ["Study, test set (averaging not stated)", "94", *(f"{PAPER_TABLE_2[k]:.3f}" for k in ONE_CLASS_FIGURES)]
        )
        auc = {(s, n): f.value for (s, part, n), f in self.figures.items() if part == ALL_DISCS}
        names = [auc_name(*pair) for pair in ((0, 1), (0, 2), (1, 2))]
        parts = [
            "<h2>Grading</h2>",
            table(
                ("", "Discs", *ONE_CLASS_FIGURES),
                rows,
                "Table 2. Mild, moderate and serious, each against the rest: macro is the plain mean over the groups, "
                "weighted the mean by their number of discs, micro the figure of all these decisions together. Micro "
                "SEN and F1 are the share of discs in the right group.",
                1,
            ),
            self._by_source(
                (
                    "accuracy of the groups",
                    "balanced accuracy of the groups",
                    "quadratic kappa of the groups",
                    "linear kappa of the groups",
                    "unweighted kappa of the groups",
                    "accuracy of the grades",
                    "quadratic kappa of the grades",
                    "linear kappa of the grades",
                    "unweighted kappa of the grades",
                ),
                "Three groups and five Pfirrmann grades.",
            ),
            self._groups_table(),
            self._plot(
                "roc",
                roc_plot(_single(self.sources), auc),
                "ROC curves for telling two groups apart (the study's Fig. 3).",
            ),
            self._by_source(names, "Pairwise AUC.", {name: f"{PAPER_FIGURES[name]:.2f}" for name in names}),
            "<h3>Confusion</h3>",
            '<p class="quiet">Reference in rows, automatic in columns; shade: share of the row.</p>',
            *(self._confusions(source) for source in self.sources),
        ]
        return "\n".join(parts)

    def calibration(self) -> str:
        names = (
            "expected calibration error of the groups",
            "Brier score of the groups",
            "share of discs graded with confidence",
        )
        if not any((source, ALL_DISCS, names[0]) in self.figures for source in self.sources):
            return ""
        rows = []
        for source in self.sources:
            for part, word in ((CONFIDENT, "confident"), (UNCERTAIN, "marked as uncertain")):
                if (source, part, "accuracy of the groups") in self.figures:
                    cells = [
                        self._value(source, part, name)
                        for name in ("accuracy of the groups", "quadratic kappa of the groups")
                    ]
                    rows.append([f"{escape(source)}, {word}", self._n(source, "accuracy of the groups", part), *cells])
        caption = (
            "Reliability: share right against the probability of the group, ten bins; area and number: discs; "
            "bar: where the share lies 95 times in 100 if the probability is right."
        )
        return "\n".join(
            (
                "<h2>Calibration</h2>",
                self._by_source(names, "The probabilities that are shown to readers."),
                *(_calibration_by_chance(name, scores) for name, scores in _single(self.sources).items()),
                self._plot("reliability", reliability_plot(_single(self.sources)), caption),
                table(
                    ("", "Discs", "Accuracy", "Quadratic kappa"), rows, "Discs that the program is sure of, and others."
                ),
            )
        )

    def prediction_sets(self) -> str:
        names = (SET_COVERAGE, SET_SIZE)
        if not any(name == SET_COVERAGE for _, _, name in self.figures):
            return ""
        rows = []
        for source in self.sources:
            if (source, ALL_DISCS, SET_COVERAGE) in self.figures:
                by_group = [self._value(source, group.value, SET_COVERAGE) for group in GROUPS]
                rows.append([escape(source), self._n(source, SET_COVERAGE), *by_group])
        header = ("", "Discs", *(group_word(group) for group in GROUPS))
        return "\n".join(
            (
                "<h2>Prediction sets</h2>",
                self._by_source(names, "Grades such as III or IV that the program calls possible."),
                table(header, rows, "Share of the sets that hold the reference grade, by the reference group."),
            )
        )

    def levels(self) -> str:
        columns = {
            "Dice, median": "median disc Dice",
            "Accuracy": "accuracy of the groups",
            "Balanced accuracy": "balanced accuracy of the groups",
            "Quadratic kappa": "quadratic kappa of the groups",
        }
        there = {name for _, part, name in self.figures if part in LUMBAR}
        columns = {title: name for title, name in columns.items() if name in there}
        names = ("lumbar discs found and rightly named", "graded discs found")
        rows = []
        for level in LUMBAR:
            for source in _single(self.sources):
                found = [self.figures[key] for name in names if (key := (source, level, name)) in self.figures]
                if found:
                    share = "<br>".join(self._value(source, level, figure.name) for figure in found)
                    cells = [self._value(source, level, name) for name in columns.values()]
                    rows.append([f"{level}, {escape(source)}", str(sum(f.discs for f in found)), share, *cells])
        if not rows:
            return ""
        caption = "Found: with a reference mask found and rightly named, else found."
        return "<h2>By level and source</h2>" + table(("", "Discs", "Found", *columns), rows, caption)

    def failures(self) -> str:
        all_failures = self.evaluation.failures
        if not all_failures:
            return "<h2>Failures</h2><p>None: every disc was found, rightly named, outlined and graded.</p>"
        counts = ", ".join(
            f"{error.value} {sum(error in f.errors for f in all_failures)}"
            for error in Error
            if any(error in f.errors for f in all_failures)
        )
        text = [f"<h2>Failures, worst first</h2><p>{escape(sentence_case(counts))}. All are in {FAILURES_NAME}."]
        shown = one_for_shifted_levels(all_failures)
        if self.pictures is None:
            text.append(f" The worst {min(len(shown), SHOWN_FAILURES)}:</p>")
            rows = [
                [_who(f), ", ".join(e.value for e in f.errors), coloured(f.sentence)] for f in shown[:SHOWN_FAILURES]
            ]
            return "".join(text) + table(("", "What", "How"), rows, "")
        text.append(
            " Left the image, right the contours: white is the reference, the colour of its group the program's. Of "
            "whole spines the reference stands left, the program's levels right. "
            f"Shown: {min(len(shown), SHOWN_FAILURES)} of {len(shown)}.</p>"
        )
        cards = "".join(self._card(failure) for failure in shown[:SHOWN_FAILURES])
        return "".join(text) + f'<div class="failures">{cards}</div>'

    def _card(self, failure: Failure) -> str:
        s = failure.score
        image = ""
        if self.pictures is not None and (s.source, s.patient) in self.pictures:
            thumbnail = disc_thumbnail(self.pictures.picture(s.source, s.patient), s.level, s.named_level)
            image = f'<img src="{jpeg_data_url(thumbnail)}" alt="{escape(s.level)} of patient {escape(s.patient)}">'
        errors = ", ".join(error.value for error in failure.errors)
        caption = f"<b>{_who(failure)}: {escape(errors)}</b><br>{coloured(failure.sentence)}"
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"

    def _examples(self) -> str:
        """Return best, median and worst patient by mean Dice, as in the study's Fig. 2."""
        if self.pictures is None:
            return ""
        by_patient: dict[tuple[str, str], list[float]] = {}
        for score in self.evaluation.scores:
            if score.dice is not None and (score.level in LUMBAR or not score.level):
                by_patient.setdefault((score.source, score.patient), []).append(score.dice)
        ranked = sorted(
            (key for key in by_patient if key in self.pictures), key=lambda key: -float(np.mean(by_patient[key]))
        )
        if not ranked:
            return ""
        chosen = {0: "best", (len(ranked) - 1) // 2: "median", len(ranked) - 1: "worst"}
        parts = ["<h3>Image, manual and automatic contours (the study's Fig. 2)</h3>"]
        for place, word in sorted(chosen.items()):
            source, patient = ranked[place]
            scores = [s for s in self.evaluation.scores if (s.source, s.patient) == ranked[place]]
            mean_dice = np.mean(by_patient[ranked[place]])
            title = f"{source}, patient {patient}: {word} of {len(ranked)}, mean Dice {mean_dice:.3f}"
            picture = side_by_side(self.pictures.picture(source, patient), scores, title)
            picture.save(self.folder / f"contours_{word}.png")
            parts.append(f'<figure><img src="{jpeg_data_url(picture)}" alt="{escape(title)}"></figure>')
        return "\n".join(parts)

    def _plot(self, name: str, plot: Any, caption: str) -> str:
        if plot is None:
            return ""
        save_png(plot, str(self.folder / f"{name}.png"))
        svg = inline_svg(plot, name, escape(caption, quote=True))
        return f'<figure class="plot">{svg}<figcaption>{escape(caption)}</figcaption></figure>'

    def _table_1_row(self, source: str) -> list[str]:
        row = [escape(source), self._n(source, "median disc Dice")]
        for what in ("Dice", "IoU"):
            median, low, high, mean = (
                self.figures[source, ALL_DISCS, name].value
                for name in (
                    f"median disc {what}",
                    f"lower quartile of disc {what}",
                    f"upper quartile of disc {what}",
                    f"mean disc {what}",
                )
            )
            row += [f"{median:.3f} ({low:.3f}, {high:.3f})", f"{mean:.3f}"]
        return row

    def _by_source(self, names: Sequence[str], caption: str, paper: Mapping[str, str] | None = None) -> str:
        """Return a table with a row for each figure and a column for each source."""
        rows = []
        for name in names:
            if any((source, ALL_DISCS, name) in self.figures for source in self.sources):
                cells = [self._value(source, ALL_DISCS, name, with_n=True) for source in self.sources]
                rows.append([escape(sentence_case(name)), *cells, *([paper[name]] if paper else [])])
        return table(("", *map(escape, self.sources), *(["Study"] if paper else [])), rows, caption)

    def _groups_table(self) -> str:
        rows = []
        for source in self.sources:
            for group in GROUPS:
                cells = [self._value(source, group.value, name) for name in ONE_CLASS_FIGURES]
                discs = sum(s.grade in group.grades and bool(s.predicted_grade) for s in self._lumbar(source))
                rows.append([f"{escape(source)}, {group_word(group)}", str(discs), *cells])
        return table(("", "Discs of the group", *ONE_CLASS_FIGURES), rows, "Each group against the rest.")

    def _lumbar(self, source: str) -> list:
        return [score for score in self.sources[source] if score.level in LUMBAR]

    def _confusions(self, source: str) -> str:
        scores = self.sources[source]
        groups = confusion_table(confusion(scores), [group_word(group) for group in GROUPS])
        grades = confusion_table(confusion(scores, of_grades=True), list(ROMAN_GRADES.values()))
        return f'<h4>{escape(source)}</h4><div class="row">{groups}{grades}</div>'

    def _value(self, source: str, part: str, name: str, with_n: bool = False) -> str:
        figure = self.figures.get((source, part, name))
        if figure is None or not np.isfinite(figure.value):
            return NOTHING
        text = f"{figure.value:.3f}"
        if np.isfinite(figure.low):
            text += f' <span class="interval">({figure.low:.3f} to {figure.high:.3f})</span>'
        if with_n:
            count = plural(figure.patients, "patient")
            if not name.startswith("slice"):
                count = f"{plural(figure.discs, 'disc')}, {count}"
            text += f'<br><span class="n">{count}</span>'
        return text

    def _count(self, source: str, name: str) -> str:
        """Return a share as so many of so many, with its value and interval."""
        figure = self.figures.get((source, ALL_DISCS, name))
        if figure is None:
            return NOTHING
        count = f"{round(figure.value * figure.discs)} of {figure.discs}"
        return f"{count}<br>{self._value(source, ALL_DISCS, name)}"

    def _n(self, source: str, name: str, part: str = ALL_DISCS) -> str:
        figure = self.figures.get((source, part, name))
        return str(figure.discs) if figure else NOTHING


def _single(sources: Mapping[str, list]) -> dict[str, list]:
    """Leave out the sources taken together."""
    names = {score.source for scores in sources.values() for score in scores}
    return {name: scores for name, scores in sources.items() if name in names}


def _calibration_by_chance(source: str, scores: Sequence[DiscScore]) -> str:
    top = [max(score.group_probabilities) for score in graded_scores(scores)]
    if not top:
        return ""
    usual, low, high = calibration_error_by_chance(top)
    return (
        f'<p class="quiet">{escape(source)}: on {plural(len(top), "disc")}, even right probabilities would show a '
        f"calibration error of {usual:.3f} by chance (95 times in 100 from {low:.3f} to {high:.3f}).</p>"
    )


def _link(sheet: ContactSheet) -> str:
    return f'<a href="{CONTACT_SHEETS_FOLDER}/{sheet.name}">{sheet.name}</a>'


def _link_in_brackets(sheet: ContactSheet | None) -> str:
    return "" if sheet is None else f" ({_link(sheet)})"


def _who(failure: Failure) -> str:
    s = failure.score
    return f"{escape(s.source)}, patient {escape(s.patient)}, {escape(s.level or 'level not known')}"
