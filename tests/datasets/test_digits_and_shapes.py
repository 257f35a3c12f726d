"""The data sets: values, splits and the procedural family's symmetries."""

import numpy as np
import pytest
import torch

from bench.core.artefacts import read_tensors, write_json
from bench.core.errors import UserError
from bench.core.registry import build
from bench.datasets import shapes
from bench.datasets._splits import draw_lists
from bench.stages import data as prepare


@pytest.mark.parametrize(("dataset", "num_images"), [("digits", 1797), ("shapes", 9680)])
def test_split_is_disjoint_and_complete(dataset, num_images):
    data = build("dataset", dataset, {}).load()
    assert (len(data["validation"]), len(data["test"])) == (200, 300)
    ids = torch.cat([data[f"{part}_id"] for part in ("train", "validation", "test")])
    assert ids.sort().values.tolist() == list(range(num_images))


def test_digits_are_dequantised_values():
    """v = floor(17 (x + 1) / 2) gives back scikit-learn's integers, so the noise never leaves its step."""
    from sklearn.datasets import load_digits

    data = build("dataset", "digits", {}).load()
    assert data["train"].shape == (1297, 1, 8, 8) and data["train"].dtype == torch.float32
    levels = 17 * (data["test"].double().numpy()[:, 0] + 1) / 2
    assert np.array_equal(np.floor(levels), load_digits().images[data["test_id"]])
    # 300 x 64 uniform remainders: their mean has a standard deviation of 1 / sqrt(12 x 19200) = 0.0021; four of them.
    assert abs((levels - np.floor(levels)).mean() - 0.5) < 0.0084


@pytest.mark.parametrize("side", [8, 16, 32])
def test_shapes_are_distinct_and_closed_under_half_turns(side):
    atoms = shapes.render(side)
    assert atoms.shape == (9680, 1, side, side) and atoms.min() == -1 and atoms.max() <= 1
    flat = atoms.flatten(1).numpy()
    images = {row.tobytes() for row in flat}
    assert len(images) == len(flat)
    assert images == {np.ascontiguousarray(row[::-1]).tobytes() for row in flat}


def test_shapes_differ_by_more_than_rounding():
    """The smallest squared distance, from x.x + y.y - 2 x.y, is far above that formula's rounding of about 1e-10."""
    atoms = shapes.render(8).flatten(1).double()
    norms = atoms.square().sum(1)
    smallest = [
        (norms[i : i + 968, None] + norms - 2 * atoms[i : i + 968] @ atoms.T)
        .kthvalue(2, dim=1)
        .values.min()
        for i in range(0, len(atoms), 968)
    ]
    assert min(smallest) > 1e-3


def test_shapes_keep_their_latents_at_any_resolution():
    """Averaged 2 x 2, the images of side 32 are close to those of side 16, and closer than to any other."""
    coarse, fine = shapes.render(16)[::97], shapes.render(32)[::97]
    pooled = torch.nn.functional.avg_pool2d(fine, 2)
    assert (
        torch.cdist(pooled.flatten(1), coarse.flatten(1)).argmin(1).equal(torch.arange(len(coarse)))
    )


def test_shapes_atoms_are_indexed_by_image_id():
    data = build("dataset", "shapes", {"side": 8}).load()
    assert data["atoms"][data["test_id"]].equal(data["test"])


def test_drawn_lists_have_the_committed_form():
    lists = draw_lists("digits")
    assert len(lists["test"]) == 300 and not set(lists["test"]) & set(lists["validation"])


@pytest.mark.parametrize(
    ("dataset", "parameters", "words"),
    [
        (
            "faces",
            {},
            "no dataset faces .*expected one of celeba, cifar10, digits, era5, fashion, ",
        ),
        ("shapes", {"sid": 8}, "'sid'"),
        ("shapes", {"side": 4}, "at least 8"),
        ("noise", {"side": 0}, "whole number"),
    ],
)
def test_mistakes_are_named(dataset, parameters, words):
    with pytest.raises(ValueError, match=words):
        build("dataset", dataset, parameters)


def test_prepare_writes_the_data(tmp_path):
    spec = tmp_path / "spec.json"
    write_json(
        spec, {"root": str(tmp_path), "dataset": "digits", "plugin": "digits", "parameters": {}}
    )
    prepare.main(str(spec))
    tensors, header = read_tensors(tmp_path / "data" / "digits.safetensors")
    assert header["dataset"] == "digits" and tensors["test"].equal(
        build("dataset", "digits", {}).load()["test"]
    )
    write_json(
        spec,
        {"root": str(tmp_path), "dataset": "digits", "plugin": "digits", "parameters": {"side": 8}},
    )
    with pytest.raises(UserError, match="spec.json.*'side'"):
        prepare.main(str(spec))
