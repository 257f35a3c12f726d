"""The files that docs/add-a-*.md show are complete: dropped into a folder of plug-ins, they pass its checks."""

import os
import re
import sys
import types
from pathlib import Path

import pytest
import torch
from helpers.forked import run_module

from bench.conformance import check
from bench.core.errors import UserError
from bench.core.registry import Kind

ROOT = Path(__file__).resolve().parents[2]
STUBS = ROOT / "tests" / "helpers" / "stubs"  # modules in the place of other libraries
PAGES = {"operator": ("add-an-operator", "row_means"), "dataset": ("add-a-dataset", "stripes")}
PAGES |= {"prior": ("add-a-prior", "pixels")}
# files of add-a-prior.md around other libraries: kind of plug-in, place on the page, the library, what to install
WRAPPED: dict[str, tuple[Kind, int, str, str]] = {
    "stylegan3": ("prior", 1, "training", "NVlabs/stylegan3 and put the clone on PYTHONPATH"),
    "imagereward": ("operator", 2, "ImageReward", "pip install image-reward"),
}


def python_block(page: str, place: int = 0) -> str:
    """Return a Python file on a page, by default the first."""
    return re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.DOTALL
    )[place]


@pytest.mark.parametrize("kind", PAGES)
def test_the_file_on_the_page_conforms(kind, tmp_path):
    page, name = PAGES[kind]
    file = tmp_path / f"{kind}s" / f"{name}.py"
    file.parent.mkdir()
    file.write_text(python_block(page))
    environment = os.environ | {"POSTERIOR_BENCH_PLUGINS": str(tmp_path)}
    checked = run_module(["bench.conformance", "--kind", kind, name], environment=environment)
    assert checked.returncode == 0 and "conforms" in checked.stdout, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", WRAPPED)
def test_a_file_around_another_library_conforms_with_a_stub_in_its_place(
    name, tmp_path, monkeypatch
):
    kind, place, library, _ = WRAPPED[name]
    monkeypatch.syspath_prepend(STUBS)
    (tmp_path / f"{name}.py").write_text(python_block("add-a-prior", place))
    results = check(tmp_path / f"{name}.py", kind)
    for module in [one for one in sys.modules if one.split(".")[0] == library]:
        del sys.modules[module]
    assert not [str(result) for result in results if result.status == "FAIL"]
    assert sum(result.status == "ok" for result in results) > 5


@pytest.mark.parametrize("name", WRAPPED)
def test_a_missing_library_gives_advice_on_what_to_install(name):
    kind, place, _, install = WRAPPED[name]
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(python_block("add-a-prior", place), module.__dict__)
    del sys.modules[name]
    with pytest.raises(UserError, match=re.escape(install)):
        if kind == "prior":
            module.generator(8, (3, 16, 16))
        else:
            module.opened(torch.device("cpu"), torch.float32)


def test_the_program_on_the_page_of_checkpoints_runs(tmp_path):
    script = tmp_path / "checkpoint.py"
    script.write_text(python_block("add-a-checkpoint"))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = run_module(["checkpoint"], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(1, 8, 8) (0.01") and "[1, 1, 8, 8]" in done.stdout
