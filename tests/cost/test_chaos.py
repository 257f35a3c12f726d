"""`chaos` recognises kinds of files, damages them, follows advice, and finds processes and folders left by a run."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cost.chaos import disks, faults
from bench.cost.chaos.__main__ import summarise_disks, summarise_faults, summarise_kills
from bench.cost.chaos.faults import WAYS, Fault, all_faults, kind_of
from bench.cost.chaos.kills import Kill, differing
from bench.cost.chaos.workshop import MARK, Ended, Workshop
from bench.runtime.preload import PREFIX

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def shop(tmp_path) -> Workshop:
    shop = Workshop(tmp_path / "shop", tmp_path / "tiny.yaml", "tiny", 1)
    shop.results.mkdir(parents=True)
    return shop


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("runs/gmm-denoise/dps/seed0/cost.json", "runs/*/*/seed0/cost.json"),
        ("tasks/gmm-denoise/metrics.csv.info.json", "tasks/*/metrics.csv.info.json"),
        ("priors/edm/edm.safetensors", "priors/*/*.safetensors"),
        ("priors/edm/card.json", "priors/*/card.json"),
        ("priors/edm/pipeline/unet/config.json", "priors/*/pipeline/unet/config.json"),
        ("data/digits.safetensors", "data/*.safetensors"),
        ("figures/grid-gmm-denoise.png", "figures/*.png"),
        ("figures/ranks.csv.info.json", "figures/*.csv.info.json"),
        ("specs/runs/gmm-denoise/dps/seed0.json", "specs/runs/*.json"),
        ("report.html", "report.html"),
    ],
)
def test_a_file_is_of_the_kind_that_is_left_without_names(path, kind):
    assert kind_of(path) == kind


def test_each_kind_is_damaged_in_each_way_once(tmp_path):
    files = [f"figures/{name}.{kind}" for name in ("a", "b", "c") for kind in ("png", "pdf")]
    found = all_faults(files, random.Random(0))
    assert sorted((x.kind, x.way) for x in found) == sorted(
        (f"figures/*.{kind}", way) for kind in ("png", "pdf") for way in WAYS
    )


@pytest.mark.parametrize("way", WAYS)
def test_each_way_leaves_something_else(tmp_path, way):
    path = tmp_path / "a.png"
    path.write_bytes(b"0123456789")
    WAYS[way](path)
    assert path.is_dir() or not path.exists() or path.read_bytes() != b"0123456789"


def test_advice_is_followed_to_the_letter(shop):
    root = Path("results/tiny")
    for name in ("a.json", "b/edm.safetensors", "b/unet.bin", "c.csv", "d.csv"):
        (shop.results / name).parent.mkdir(exist_ok=True)
        (shop.results / name).touch()
    lines = (
        f"error: {root}/a.json: is truncated (edited?); delete it and run the same command again",
        f"error: {root}/b/unet.bin: is missing; delete edm.safetensors and run the same command again",
        f"error: {root}/c.csv: differs; delete {root}/c.csv {root}/d.csv and run the same command again",
    )
    named = [faults._follow(shop, [line]) for line in lines]
    assert named == [f"{root}/a.json", f"{root}/b/unet.bin", f"{root}/c.csv"]
    assert shop.files() == {"b/unet.bin"}
    assert faults._follow(shop, ["error: results/x: cannot be written (full); mend that"]) is None


def test_what_a_run_left_behind_is_found(shop):
    other = subprocess.Popen(SLEEP)
    ours = subprocess.Popen(SLEEP, env=shop.environment())
    try:
        assert shop.environment()[MARK] == str(shop.folder)
        while not shop.processes():
            pass
        assert list(shop.processes()) == [ours.pid]
        (shop.temporary / f"{PREFIX}abc").mkdir()
        assert shop.folders_of_servers()
        shop.kill_all()
        ours.wait(10)
        assert not shop.processes() and other.poll() is None
    finally:
        ours.kill()
        other.kill()


def test_bits_are_compared_on_both_sides():
    assert differing({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {"b", "c"}


def test_a_summary_passes_only_where_nothing_was_left_lost_or_unsaid():
    told: list[str] = []
    good, late = Kill("main", 1.0, "", 2.0, ()), Kill("main", 1.0, "", None, ("python",))
    assert summarise_kills([good], set(), told.append)
    assert not summarise_kills([late], set(), told.append)
    assert not summarise_kills([good], {"x"}, told.append)
    assert summarise_faults(
        [Fault("a", "cut", "refused"), Fault("b", "cut", "made anew")], told.append
    )
    assert not summarise_faults([Fault("a", "cut", "not noticed")], told.append)
    line, mute = (disks.Shortage("full", 1, errors, False, ()) for errors in (("error: x",), ()))
    assert summarise_disks([line], told.append) and not summarise_disks([mute], told.append)


def test_lines_of_errors_are_found_among_the_rest():
    ended = Ended(1, "Building\nerror: a: b\n  error: c\n")
    assert ended.errors == ["error: a: b"] and not ended.has_traceback
