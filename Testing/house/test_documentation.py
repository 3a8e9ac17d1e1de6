"""What README and Documentation say of the repository is true: links, commands and options, names in the code."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from LumbarDiscGradingLib.cli.main import make_parser
from LumbarDiscGradingLib.research_use import RESEARCH_USE

CHECKOUT = Path(__file__).resolve().parents[2]
MODULE = CHECKOUT / "LumbarDiscGrading"
LIBRARY = MODULE / "LumbarDiscGradingLib"
DOCUMENTATION = CHECKOUT / "Resources" / "Documentation"
PAGES = [CHECKOUT / "README.md", *sorted(DOCUMENTATION.glob("*.md"))]
NAMES = [path.name for path in PAGES]

COMMAND = "lumbar-disc-grading"
STANDALONE = "python3 LumbarDiscGrading/LumbarDiscGradingLib/standalone.py"
FIRST_COMMANDS = (f"{STANDALONE} grade", "python3 Testing/run_tests.py")
MOST_README_LINES = 250

FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^()\s]+)\)|(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return FENCED.sub("", text)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(text)))
    return {heading.replace(" ", "-") for heading in kept}


def broken_links(page: Path) -> list[str]:
    found = []
    for link in ("".join(groups) for groups in LINK.findall(prose(page.read_text(encoding="utf-8")))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        there = target.exists() and CHECKOUT in target.parents
        if not there or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_readme_leads_to_every_page() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"(Resources/Documentation/{page.name})" not in text] == []


def test_readme_is_short_and_names_the_two_commands() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_README_LINES
    blocks = [block.splitlines() for _, block in FENCED.findall(text)]
    assert list(FIRST_COMMANDS) in blocks


def test_readme_says_once_that_it_is_for_research() -> None:
    text = " ".join(PAGES[0].read_text(encoding="utf-8").split())
    assert text.count(RESEARCH_USE) == 1
    assert len(re.findall(r"medical device", text, re.IGNORECASE)) == 1


# -- commands


def code_lines(text: str) -> Iterator[str]:
    """Yield the lines of the code blocks of a page; what is continued is one line."""
    for language, block in FENCED.findall(text):
        if language == "":
            yield from re.sub(r"(?:\s*\\)?\n[ \t]+(?=\S)", " ", block).splitlines()


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the long options that the help of a command names."""
    return set(OPTION.findall(parser.format_help())) & set(parser._option_string_actions)


def every_command(parser: argparse.ArgumentParser, path: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    inner = subcommands(parser)
    if not inner:
        yield path, parser
    for name, command in inner.items():
        yield from every_command(command, f"{path} {name}".strip())


def command_lines(text: str) -> Iterator[str]:
    """Yield what a page says is typed behind the name of the command."""
    for line in code_lines(text):
        for start in (COMMAND, STANDALONE):
            if line.startswith(f"{start} "):
                yield line.removeprefix(start).strip()
    for span in INLINE.findall(prose(text).replace("\\|", "|")):
        if span.startswith(f"{COMMAND} "):
            yield span.removeprefix(COMMAND).strip()
        elif span.split()[0] in subcommands(make_parser()):
            yield f"{span} ..."


def faults_of(line: str) -> list[str]:
    """Return what is wrong with a command: an option that it does not have, or arguments that it does not take."""
    parser = make_parser()
    words = line.split()
    while words and words[0] in subcommands(parser):
        parser = subcommands(parser)[words.pop(0)]
    faults = sorted(set(OPTION.findall(line)) - options_of(parser))
    command, *_ = line.split(" #")
    if not faults and not re.search(r"\[|\.\.\.$", command) and not command.startswith("--"):
        try:
            make_parser().parse_args(shlex.split(command))
        except SystemExit:
            faults.append("is not taken")
    return [f"{line}: {fault}" for fault in faults]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_and_their_options_exist(page: Path) -> None:
    lines = list(command_lines(page.read_text(encoding="utf-8")))
    assert [fault for line in lines for fault in faults_of(line)] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_an_option_named_alone_is_one_of_a_command(page: Path) -> None:
    known = {option for _, parser in every_command(make_parser()) for option in options_of(parser)}
    known |= options_of(make_parser())
    spans = INLINE.findall(prose(page.read_text(encoding="utf-8")))
    named = {option for span in spans if span.startswith("--") for option in OPTION.findall(span)}
    assert named <= known, named - known


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_scripts_of_the_repository_exist_with_their_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lines = [*code_lines(text), *INLINE.findall(prose(text))]
    for line in lines:
        for name in re.findall(r"\bTesting/[\w/]+\.py", line):
            assert (CHECKOUT / name).is_file(), line
            source = (CHECKOUT / name).read_text(encoding="utf-8")
            assert [option for option in OPTION.findall(line) if f'"{option}"' not in source] == [], line


def test_readme_names_each_command() -> None:
    named = {line.split()[0] for line in command_lines(PAGES[0].read_text(encoding="utf-8"))}
    assert set(subcommands(make_parser())) <= named


def test_the_command_line_page_has_all_options_of_each_command_and_no_other() -> None:
    text = (DOCUMENTATION / "command_line.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^##+ ([^\n]+)\n(.*?)(?=^#|\Z)", FENCED.sub("", text), re.MULTILINE | re.DOTALL))
    for path, parser in every_command(make_parser()):
        named = set(re.findall(r"^\| `(--[a-z-]+)", sections[path], re.MULTILINE))
        assert named == options_of(parser) - {"--help"}, path


# -- names in the code


def defined_names(path: Path) -> set[str]:
    """Return what a Python file defines at its top and in its classes, as ``name`` and ``Class.name``."""

    def names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from names(node.body, f"{prefix}{node.name}.")
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name):
                    yield prefix + target.id

    return set(names(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def in_the_tree(path: str) -> Path | None:
    """Return a file or folder that a page names relative to the library, the module or the checkout."""
    return next((base / path for base in (LIBRARY, MODULE, CHECKOUT) if (base / path).exists()), None)


def is_in_the_tree(span: str) -> bool:
    """Whether a file or folder, or what is named in it behind ``::``, is there."""
    path, _, name = span.partition("::")
    place = in_the_tree(path)
    return place is not None and (not name or name in defined_names(place))


def code_spans(page: Path) -> set[str]:
    return set(INLINE.findall(prose(page.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_and_names_of_the_code_are_in_the_tree(page: Path) -> None:
    spans = {span for span in code_spans(page) if re.search(r"::|^[\w/]+\.(?:py|ui|toml)$", span)} - {"path::name"}
    assert [span for span in sorted(spans) if not is_in_the_tree(span)] == []


def test_folders_and_classes_of_the_architecture_are_in_the_tree() -> None:
    spans = code_spans(DOCUMENTATION / "architecture.md")
    folders = {span for span in spans if re.fullmatch(r"[\w./-]+", span) and "/" in span}
    assert [span for span in sorted(folders) if not is_in_the_tree(span)] == []
    known = {name for path in LIBRARY.rglob("*.py") for name in defined_names(path)}
    assert {span for span in spans if re.fullmatch(r"[A-Z]\w*[a-z]\w*", span)} - known == set()
    assert len(spans) > 80


def test_each_room_is_in_the_table_of_the_architecture() -> None:
    text = (DOCUMENTATION / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Rooms\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE))
    assert named == {path.parent.name for path in LIBRARY.glob("*/__init__.py")}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_of_the_pages_imports_what_is_there(page: Path) -> None:
    for language, block in FENCED.findall(page.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(block)) if language == "python" else ():
            if isinstance(node, ast.ImportFrom) and node.module.startswith("LumbarDiscGrading"):
                path = MODULE / f"{node.module.replace('.', '/')}.py"
                assert path.is_file(), node.module
                assert {alias.name for alias in node.names} <= defined_names(path), node.module
