"""Publishing of toys: their pictures and one table of numbers, of clean sources only."""

from __future__ import annotations

import pytest
from helpers.synthetic_results import PROVENANCE

from bench.core.artefacts import check, read_csv, write_bytes, write_csv, write_json
from bench.core.errors import UserError
from bench.stages import publish

CSV = """panel,layer,kind,x,y,value
flow / prior,prior,density,0.5,0.5,1
flow noise,log Z: quadrature,number,,,-1.25
flow noise,log Z: ods,number,,,-1.5
flow data,"mass near (0.5, -1): ods",number,,,0.75
"""


def toys(root, **changes):
    """Return the folder of a suite with two toys."""
    for toy in ("moons", "swiss_roll"):
        write_json(root / "specs/toys" / f"{toy}.json", {"root": str(root), "toy": toy})
        info = {"toy": toy, "provenance": {**PROVENANCE, **changes}}
        write_csv(root / "figures" / f"{toy}.csv", CSV, info)
        write_bytes(root / "figures" / f"{toy}.png", b"picture")
    return root


def test_pictures_and_numbers_are_copied(tmp_path):
    publish.main(str(toys(tmp_path / "ods_toy")), "--into", str(tmp_path / "reference"))
    into = tmp_path / "reference/ods_toy"
    assert (into / "figures/moons.png").read_bytes() == b"picture"
    check(into / "numbers.csv")
    assert {path.name for path in (into / "figures").iterdir()} == {"moons.png", "swiss_roll.png"}
    text, _ = read_csv(into / "numbers.csv")
    assert 'swiss_roll,flow data,"mass near (0.5, -1)",ods,0.75' in text.splitlines()
    page = (into / "numbers.md").read_text()
    assert "| toy | place | quantity | quadrature | ods |" in page
    assert "| moons | flow noise | log Z | -1.25 | -1.50 |" in page
    assert f"Made by commit {PROVENANCE['commit'][:12]} (2 files)." in page


def test_toys_of_edited_sources_are_refused_unless_asked(tmp_path):
    root = toys(tmp_path / "ods_toy", dirty=True)
    with pytest.raises(UserError, match="artefacts were made from uncommitted sources"):
        publish.main(str(root), "--into", str(tmp_path / "reference"))
    assert not (tmp_path / "reference").exists()
    publish.main(str(root), "--into", str(tmp_path / "reference"), "--allow-dirty")
    assert "Warning: " in (tmp_path / "reference/ods_toy/numbers.md").read_text()
