"""The commit of an artefact is that of this repository, or it is unknown."""

from __future__ import annotations

import subprocess

from bench.core import provenance


def test_a_copy_inside_another_repository_has_no_commit(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "copy").mkdir()
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "copy")
    assert provenance.git_state() == ("unknown", None)


def test_a_repository_that_a_hook_names_is_not_this_one(tmp_path, monkeypatch):
    before = provenance.git_state()
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    assert provenance.git_state() == before
