"""Building blocks of pages: their style, tables, and words in the colours of their groups."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..pfirrmann import GROUPS, Group
from ..resources import resource_path


def page_style() -> str:
    """Return the style sheet that pages share, light and dark, for a ``<style>`` element."""
    return resource_path("Pages", "page.css").read_text(encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, paper_rows: int = 0) -> str:
    """Return a table; the last `paper_rows` rows are the study's. Cells are HTML."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = []
    for n, row in enumerate(rows):
        mark = ' class="paper"' if n >= len(rows) - paper_rows else ""
        cells = "".join(f'<td class="value">{cell}</td>' for cell in row[1:])
        body.append(f'<tr{mark}><th scope="row">{row[0]}</th>{cells}</tr>')
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    rows_text = "".join(body)
    return f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>{rows_text}</tbody></table></div>'


def coloured(sentence: str) -> str:
    """Return a sentence with the words of the groups in their colours."""
    text = escape(sentence)
    for group in GROUPS:
        text = text.replace(group.value, group_word(group))
    return text


def group_word(group: Group) -> str:
    """Return the word of a group in its colour."""
    return f'<span class="{group.value}">{group.value}</span>'


def plural(count: int, word: str) -> str:
    """Return a number with its noun."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def sentence_case(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]
