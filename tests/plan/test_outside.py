"""Files that a suite reads from outside the repository, and helpers next to plug-ins, are tracked."""

from __future__ import annotations

from helpers.suite_file import (
    METHOD,
    folder_of_two_methods,  # noqa: F401 (a fixture)
    suite_file,
)

from bench import plan
from bench.plan.inputs import Inputs
from bench.plan.listing import content_at, paths_in
from bench.plan.sources import imported_files


def test_texts_that_are_paths_are_found_anywhere_in_a_suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prior").mkdir()
    (tmp_path / "w.pt").touch()
    given = {"drift": "prior", "a": ["w.pt", {"b": str(tmp_path)}], "c": "gone/w.pt", "d": 3}
    assert list(paths_in(given)) == ["w.pt", str(tmp_path)]


def test_a_name_without_a_slash_is_a_path_where_the_key_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    given = {"pipeline": "model", "weights": "gone", "path": "", "dataset": "model"}
    assert list(paths_in(given)) == ["model"]


def test_other_weights_at_the_same_path_make_the_prior_anew(folder, tmp_path_factory):
    weights = tmp_path_factory.mktemp("model")
    (weights / "unet").mkdir()
    (weights / "unet/w.safetensors").write_bytes(b"old")
    prior = {"family": "edm", "dataset": "digits", "pipeline": str(weights)}
    inputs = Inputs(plan.load(suite_file(folder, **{"priors/edm": prior})))
    of_edm, of_gmm = ({"prior": name} for name in ("edm", "gmm"))
    before = inputs.code("prior", of_edm), inputs.code("prior", of_gmm)
    (weights / "unet/w.safetensors").touch()
    assert (inputs.code("prior", of_edm), inputs.code("prior", of_gmm)) == before
    (weights / "unet/w.safetensors").write_bytes(b"new")
    assert inputs.code("prior", of_edm) != before[0] and inputs.code("prior", of_gmm) == before[1]


def test_a_folder_without_files_and_no_folder_have_a_hash(tmp_path):
    assert content_at(str(tmp_path)) and content_at(str(tmp_path / "nowhere"))


def test_a_module_in_the_working_folder_is_tracked(folder):
    (folder / "mine").mkdir()
    for name in ("own.py", "mine/part.py"):
        (folder / name).touch()
    (folder / "methods/toy.py").write_text("import own\nfrom mine.part import f\n" + METHOD)
    found = {str(file) for file in imported_files(folder / "methods/toy.py")}
    assert {"own.py", "mine/part.py"} <= found


def test_a_table_that_a_method_reads_is_tracked(folder):
    for name in ("table.npz", "other.npz"):
        (folder / f"methods/{name}").write_bytes(b"")
    text = METHOD + "\nTABLE = __file__.replace('reads.py', 'table.npz')\n"
    (folder / "methods/reads.py").write_text(text)
    inputs = Inputs(plan.load(suite_file(folder, **{"methods/reads": {}})))
    found = [name for name in inputs.method_sources("reads") if name.endswith(".npz")]
    assert found == ["methods/table.npz"]
