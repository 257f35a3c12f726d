"""The architecture: which package may import which, how long files and functions are, and where files lie."""

from __future__ import annotations

import ast
import graphlib
import statistics
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FILES = sorted(
    file for folder in ("bench", "methods") for file in (REPOSITORY / folder).rglob("*.py")
)
AT_THE_ROOT = {"__init__.py", "__main__.py", "task.py"}
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 400, 30
# lines: shorter, and a question passes through a chain of helpers; longer, and it does two things
MEDIAN_BODY = (4, 9)


def name_of(file: Path) -> str:
    return file.relative_to(REPOSITORY).as_posix()


@cache
def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph("bench", "methods", exclude_type_checking_imports=True, cache_dir=None)


def functions(file: Path) -> Iterator[ast.FunctionDef]:
    """Yield every function of a file but those inside of network definitions."""
    networks = ("Module", "Transform", "Flow")
    inside = [ast.parse(file.read_text())]
    while inside:
        node = inside.pop()
        if isinstance(node, ast.ClassDef) and any(
            ast.unparse(base).endswith(networks) for base in node.bases
        ):
            continue
        if isinstance(node, ast.FunctionDef):
            yield node
        inside.extend(ast.iter_child_nodes(node))


def num_lines(function: ast.FunctionDef) -> int:
    """Return the lines of a function, without its decorators and its docstring."""
    text = function.body[0]
    documented = ast.get_docstring(function) is not None
    return span(function) - (span(text) if documented else 0)


def num_lines_of_body(function: ast.FunctionDef) -> int:
    """Return the lines below a function's docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_import_contracts_hold(monkeypatch):
    from importlinter.cli import lint_imports

    monkeypatch.chdir(REPOSITORY)
    assert lint_imports(no_cache=True) == 0, "lint-imports says which import breaks which contract"


def test_contracts_have_no_exemptions():
    text = (REPOSITORY / "pyproject.toml").read_text()
    assert "ignore_imports" not in text
    assert "unmatched_ignore_imports_alerting" not in text


def test_contract_of_methods_forbids_all_else():
    """The contract lists what is forbidden, so a new module has to be added to it."""
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    (forbidden,) = [
        set(contract["forbidden_modules"])
        for contract in contracts
        if "methods" in contract.get("source_modules", ())
    ]
    graph = import_graph()
    modules = graph.find_children("bench") | graph.find_children("bench.core")
    assert modules - forbidden == {"bench.core", "bench.core.types", "bench.numerics"}


def test_modules_import_each_other_without_cycles():
    graph = import_graph()
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        graphlib.TopologicalSorter(imported).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_methods_see_types_and_numerics_only():
    graph = import_graph()
    for module in sorted(graph.find_descendants("methods")):
        package = ".".join(module.split(".")[:2])  # parts of a method's own package
        for imported in graph.find_modules_directly_imported_by(module):
            allowed = imported == "bench.core.types" or f"{imported}.".startswith(
                ("bench.numerics.", f"{package}.")
            )
            assert allowed, f"{module} imports {imported}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_files_are_short(file):
    assert len(file.read_text().splitlines()) <= MOST_LINES_OF_A_FILE


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_functions_are_short(file):
    long = {function.name: num_lines(function) for function in functions(file)}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_functions_are_not_too_short():
    # a protocol declares functions with `...` in place of a body, so that they have none to measure
    bodies = [
        num_lines_of_body(function)
        for file in FILES
        for function in functions(file)
        if ast.unparse(function.body[-1]) != "..."
    ]
    assert MEDIAN_BODY[0] <= statistics.median(body for body in bodies if body) <= MEDIAN_BODY[1]


def test_the_root_of_the_package_has_the_interface_only():
    assert {file.name for file in (REPOSITORY / "bench").glob("*.py")} == AT_THE_ROOT


@pytest.mark.parametrize(
    "package", [file for file in FILES if file.name == "__init__.py"], ids=name_of
)
def test_packages_have_a_docstring_on_their_contents(package):
    assert ast.get_docstring(ast.parse(package.read_text()))


@pytest.mark.parametrize("folder", sorted((REPOSITORY / "bench").iterdir()), ids=name_of)
def test_every_folder_is_named_in_the_contracts_and_the_guide(folder):
    if folder.is_dir() and folder.name not in ("__pycache__", "shipped"):
        assert f"{folder.name}/" in (REPOSITORY / "CONTRIBUTING.md").read_text()
