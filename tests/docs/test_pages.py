"""README and docs are right: links resolve, code compiles, commands parse, and the quick ones run.

A command is run unless its line or the first line of its block says that it takes long or needs something:
`# needs a GPU`, `# needs a network`, `# takes 30 minutes`. All are parsed.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
from helpers.forked import run_module

from bench.__main__ import app
from bench.core.results import LEFT_OUT

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
MARKS = ("needs ", "takes ")
MOST_LINES_OF_README, MOST_BYTES_OF_PICTURE = 120, 300_000


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A line of a block: its words, and whether a mark keeps it from being run."""

    page: str
    words: tuple[str, ...]
    marked: bool

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def commands() -> list[Command]:
    """Return every command of every `sh` block; a pipe ends it, since what follows is the shell's."""
    listed = []
    for page in PAGES:
        for block in blocks(page, "sh"):
            all_marked = block.startswith(tuple(f"# {mark}" for mark in MARKS))
            for line in block.splitlines():
                text, _, comment = line.partition(" # ")
                words = tuple(shlex.split(text.partition("|")[0], comments=True))
                if words:
                    listed.append(
                        Command(
                            name_of(page), words, all_marked or comment.strip().startswith(MARKS)
                        )
                    )
    return listed


COMMANDS = commands()
RUN = {  # by their words: what several pages show is run once
    command.words: command
    for command in COMMANDS
    if not command.marked
    and (command.words[0] == "posterior-bench" or {"--help", "--dry-run"} & set(command.words))
    # tests/plan checks that docs/reference is up to date
    and command.words[:2] != ("posterior-bench", "docs")
}
PROGRAMS = {"posterior-bench": "bench", "snakemake": "snakemake"}  # and their modules


def parse_posterior_bench(words: tuple[str, ...]) -> None:
    """Parse the arguments of the command line without calling anything."""
    group, arguments = typer.main.get_command(app), list(words)
    context = group.make_context(
        "posterior-bench", arguments[:1] if "--help" not in arguments else ["run"]
    )
    while hasattr(group, "resolve_command") and arguments and not arguments[0].startswith("-"):
        name, group, arguments = group.resolve_command(context, arguments)
        if not hasattr(group, "resolve_command"):
            context = group.make_context(
                name, [word for word in arguments if word != "--help"], parent=context
            )


def parse_make(words: tuple[str, ...]) -> None:
    subprocess.run(["make", "-n", *words], cwd=REPOSITORY, check=True, capture_output=True)


def parse_snakemake(words: tuple[str, ...]) -> None:
    targets = {word for word in words if re.fullmatch("[a-z]+", word)}
    assert {"all", "tuned", "reproduce"} & targets
    for word in words:
        if word.startswith("suite="):
            assert (REPOSITORY / "config" / f"{word.removeprefix('suite=')}.yaml").is_file()
        if word.startswith("profiles/"):
            assert (REPOSITORY / word / "config.yaml").is_file()


def parse_python(words: tuple[str, ...]) -> None:
    assert words[0] == "-m"
    file = REPOSITORY / words[1].replace(".", "/")
    assert (
        words[1] == "pytest"
        or file.with_suffix(".py").is_file()
        or (file / "__main__.py").is_file()
    )
    assert all((REPOSITORY / word).exists() for word in words[2:] if word.endswith(".py"))


def parse_pip(words: tuple[str, ...]) -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for word in words[1:]:
        named = re.fullmatch(r"posterior-bench(?:\[([a-z]+)\])?", word)
        assert word == "." or named and (named[1] is None or named[1] in extras)


def parse_pre_commit(words: tuple[str, ...]) -> None:
    assert words == ("install",)
    assert (REPOSITORY / ".pre-commit-config.yaml").is_file()


PARSERS = {
    "posterior-bench": parse_posterior_bench,
    "make": parse_make,
    "snakemake": parse_snakemake,
    "python": parse_python,
    "pip": parse_pip,
    "pre-commit": parse_pre_commit,
}


def test_readme_fits_on_a_few_screens():
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= MOST_LINES_OF_README


def test_pictures_of_the_readme_load_quickly_and_one_is_of_photographs():
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (REPOSITORY / "README.md").read_text())
    assert all((REPOSITORY / name).stat().st_size < MOST_BYTES_OF_PICTURE for name in pictures)
    assert any("grid-photos" in name for name in pictures)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [
        link
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
        if "://" not in link and not link.startswith("#")
    ]
    missing = [link for link in links if not (page.parent / link.partition("#")[0]).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_blocks_compile(page):
    for block in blocks(page, "python"):
        ast.parse(block)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_commands_parse(command):
    PARSERS[command.words[0]](command.words[1:])


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN.values(), ids=str)
def test_quick_commands_run(command, tmp_path):
    program, *words = command.words
    words = words[1:] if program == "python" else [PROGRAMS[program], *words]
    folder = REPOSITORY if program == "snakemake" else tmp_path  # ours work in any folder
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = run_module(words, folder, environment, seconds=300)
    # 1: some are not on this machine
    allowed = (0, 1) if words[1:3] == ["weights", "check"] else (0,)
    assert done.returncode in allowed, done.stderr[-2000:]


def cells(text: str) -> dict[tuple[str, str], str]:
    """Return the cells of the first table of a page, by the first cells of their row and column."""
    rows = [
        line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")
    ]
    head, _, *body = [[cell.strip() for cell in row] for row in rows]
    return {
        (row[0], name): cell for row in body for name, cell in zip(head[1:], row[1:], strict=False)
    }


def test_numbers_in_the_readme_are_those_published():
    readme, results = (REPOSITORY / "README.md").read_text(), REPOSITORY / "results/reference"
    digits, photos = readme.split("The suite `photos`:")
    published = cells((results / "default/distance.md").read_text())
    shown = cells(digits)
    assert len(shown) == 32
    assert {key: published[key].replace(LEFT_OUT, "–") for key in shown} == shown
    # the published table has a row for each of its many methods
    published = {
        key[::-1]: cell for key, cell in cells((results / "photos/distance.md").read_text()).items()
    }
    shown = cells(photos)
    assert len(shown) == 28
    assert {key: published[key] for key in shown} == shown


@pytest.mark.slow
def test_method_of_the_page_conforms(tmp_path):
    from bench.conformance import check

    (file,) = [
        block
        for block in blocks(REPOSITORY / "docs" / "add-a-method.md", "python")
        if "__all__" in block
    ]
    path = tmp_path / "annealed_langevin.py"
    path.write_text(file)
    assert [str(result) for result in check(path) if result.status == "FAIL"] == []
