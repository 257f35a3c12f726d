"""The suite of docs/own-images.md runs from YAML to page, on a folder and a checkpoint that the test makes."""

import csv
import html
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.in_process import run_suite
from PIL import Image

from bench.core import weights
from bench.core.artefacts import read_header
from bench.metrics._embeddings import untrained_lpips
from bench.problems import convnet

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-images.md"
pytestmark = pytest.mark.slow


def make_images(folder: Path) -> None:
    """Write 40 smooth pictures of several sizes, in two folders."""
    draw = np.random.default_rng(0)
    for number in range(40):
        values = draw.integers(0, 256, (5, 5, 3), np.uint8)
        size = (64 + 8 * (number % 3), 64 + 4 * (number % 5))
        file = folder / f"{number % 2}" / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).resize(size, Image.Resampling.BICUBIC).save(file)


def make_checkpoint(folder: Path) -> None:
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=64,
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        norm_num_groups=2,
        attention_head_dim=4,
        down_block_types=("DownBlock2D",) * 4,
        up_block_types=("UpBlock2D",) * 4,
    )
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (folder / "mine.yaml").write_text(block)
    make_images(folder / "my_images")
    make_checkpoint(folder / "my_checkpoint")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TORCH_HOME", str(folder / "no_weights"))
        patch.setattr(convnet, "DEFINITION", replace(convnet.DEFINITION, num_steps=3))
        return folder / run_suite(folder / "mine.yaml")


@pytest.fixture(scope="module")
def cells(results) -> dict[tuple[str, str], dict[str, str]]:
    """Return the lines of the summary by row and metric."""
    lines = csv.DictReader((results / "tables" / "summary.csv").read_text().splitlines())
    return {(line["method"], line["metric"]): line for line in lines}


def of_row(cells, method, start):
    """Return the lines of a row whose metric's name begins with some letters."""
    return [
        line for (row, metric), line in cells.items() if row == method and metric.startswith(start)
    ]


@pytest.mark.parametrize("start", ["psnr", "ssim"])
@pytest.mark.parametrize("method", ["dps", "unconditional"])
def test_fidelity_has_numbers(cells, method, start):
    lines = of_row(cells, method, start)
    assert len(lines) == 2 and all(np.isfinite(float(line["mean"])) for line in lines)


@pytest.mark.parametrize("start", ["lpips-alex-v0.1@[-1,1]_mean", "kid-inception"])
def test_metrics_whose_weights_are_absent_say_so(cells, start):
    lines = of_row(cells, "dps", start)
    assert lines and all("n/a (weights absent" in line["reason"] for line in lines)


def test_a_network_trained_on_the_images_stands_in_for_inception(cells):
    (line,) = [x for x in of_row(cells, "dps", "kid-folder") if x["metric"].endswith("-n8")]
    assert np.isfinite(float(line["mean"]))


@pytest.mark.parametrize("page", ["report.html", "tables/summary.md"])
def test_a_note_of_the_pages_names_columns_without_numbers_for_lack_of_weights(results, page):
    text = html.unescape((results / page).read_text()).replace("\\", "")
    for name, network in [("lpips-alex-v0.1@[-1,1]_mean", "alexnet"), ("kid-inc", "inception")]:
        why = f"weights absent: python -m bench weights fetch {network}"
        lines = [line.strip() for line in text.splitlines() if why in line]
        (note,) = [line for line in lines if line.startswith(("<li>", "- "))]
        assert name in note


def test_cells_of_requested_columns_have_the_reason_that_weights_are_absent(cells):
    (line,) = [x for x in of_row(cells, "dps", "lpips-alex") if x["metric"].endswith("_mean")]
    assert line["reason"] == "n/a (weights absent: python -m bench weights fetch alexnet)"


def test_the_page_is_made(results):
    assert "mine-inpaint-box" in (results / "report.html").read_text()


def test_the_header_names_the_images_that_were_used(results):
    header = read_header(results / "data" / "folder-mine.safetensors")
    assert header["num_images"] == {"train": 28, "validation": 8, "test": 4}
    assert header["num_skipped"] == 0 and len(header["pixels_sha256"]) == 64


# With backbones of LPIPS where torch.hub keeps them -------------------------------------------------------------------


def place_random_backbones() -> None:
    """Write files like torchvision's, with random weights, to where the library looks."""
    for net, name in (("alex", "alexnet"), ("vgg", "vgg16")):
        file = weights.folder() / weights.WEIGHTS[name].file
        file.parent.mkdir(parents=True, exist_ok=True)
        parts = untrained_lpips(net).net.children()
        state = {f"features.{key}": x for part in parts for key, x in part.state_dict().items()}
        torch.save(state, file)


@pytest.fixture(scope="module")
def with_lpips(results, tmp_path_factory) -> tuple[Path, tuple[str, str]]:
    """Return the results, scored and shown again with random backbones, and how columns name the two networks."""
    folder = tmp_path_factory.mktemp("lpips") / "own"
    shutil.copytree(results.parents[1], folder)
    file = folder / "mine.yaml"
    text = file.read_text()
    for one in ("networks: [lpips-alex-v0.1", "    - lpips-alex-v0.1@[-1,1]_mean\n"):
        other = one.replace("networks: [", ", ").replace("alex", "vgg")
        assert one in text
        text = text.replace(one, one + other)
    file.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TORCH_HOME", str(folder / "torch"))
        torch.manual_seed(0)
        place_random_backbones()
        marks = tuple(weights.unverified(name) for name in ("alexnet", "vgg16"))
        made = folder / run_suite(file, since="evaluate")
    return made, (f"lpips-alex-v0.1-{marks[0]}@[-1,1]", f"lpips-vgg-v0.1-{marks[1]}@[-1,1]")


def test_with_random_backbones_lpips_has_numbers(with_lpips):
    made, networks = with_lpips
    lines = csv.DictReader((made / "tables" / "summary.csv").read_text().splitlines())
    of_lpips = [line for line in lines if line["metric"].startswith("lpips-")]
    names = {line["metric"] for line in of_lpips if not line["metric"].endswith("_ratio")}
    assert names == {f"{x}_{what}" for x in networks for what in ("mean", "sample", "pairwise")}
    for line in of_lpips:
        if line["metric"] in names and line["method"] != "reference":
            assert float(line["mean"]) > 0 and not line["reason"]


def test_with_random_backbones_the_table_has_numbers(with_lpips):
    made, networks = with_lpips
    text = (made / "tables" / "summary.md").read_text().replace("\\", "")
    head, _, *rows = [line.split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2  # dps and unconditional
    for network in networks:
        (place,) = [i for i, cell in enumerate(head) if cell.startswith(f"{network}_mean")]
        assert all(float(row[place].split()[0]) > 0 for row in rows)


def test_with_random_backbones_the_page_has_numbers(with_lpips):
    made, networks = with_lpips
    text = html.unescape((made / "report.html").read_text())
    assert "weights absent: python -m bench weights fetch alexnet" not in text
    tables = re.findall(r"<table.*?</table>", text, re.DOTALL)
    for network in networks:
        shown = [table for table in tables if f'data-name="{network}_mean"' in table]
        assert len(shown) == 2  # of all tasks, and of the task
        for table in shown:
            names = re.findall(r'<th scope="col"[^>]*?data-name="([^"]*)"', table)
            from_right = names[::-1].index(f"{network}_mean")
            rows = re.findall(r"<tr[^>]*data-kind=\"method\".*?</tr>", table, re.DOTALL)
            cells = [re.findall(r"<td[^>]*>", row)[::-1][from_right] for row in rows]
            values = [float(re.findall(r'data-value="([^"]*)"', cell)[0]) for cell in cells]
            assert len(values) == 2 and min(values) > 0
