"""Files of learned priors: properties of a loaded one, equal bits from equal seeds, files that belong together."""

from __future__ import annotations

import pytest
import torch
from helpers.learned_priors import SHAPE, normal

from bench.core.artefacts import ArtefactError, read_json, write_json, write_tensors
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.priors import load_prior, prior_path
from bench.priors.gmm import GMM
from bench.stages import prior as fit

TINY = {
    "edm": {"channels": [4, 4], "num_iterations": 3, "num_ode_steps": 2},
    "consistency": {"num_iterations": 3},
    "regression_map": {"num_iterations": 3, "num_pairs": 64},
    "flow": {"width": 8, "num_iterations": 3, "num_ode_steps": 2},
    "vae": {"width": 8, "num_iterations": 3},
    "gan": {"width": 8, "num_iterations": 3},
}
MAPS = ("consistency", "regression_map")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Tiny priors of all families, each fitted by the command."""
    root = tmp_path_factory.mktemp("results")
    images = normal(96, *SHAPE, dtype=torch.float32).clamp(-1, 1)
    write_tensors(root / "data" / "digits.safetensors", {"train": images, "test": images[:40]}, {})
    mixture = GMM(
        torch.ones(1).double(),
        torch.zeros(1, *SHAPE).double(),
        torch.eye(64, dtype=torch.float64)[None] / 2,
    )
    tensors = {
        "weights": mixture.weights,
        "means": mixture.means,
        "covariances": mixture.covariances,
    }
    write_tensors(prior_path(root, "gmm", "gmm"), tensors, {"family": "gmm"})
    for family, parameters in TINY.items():
        run(root, family, family, parameters, "edm" if family in MAPS else None)
    run(root, "two_steps", "consistency", {**TINY["consistency"], "num_steps": 2}, "edm")
    run(root, "gmm_map", "regression_map", {**TINY["regression_map"], "channels": [4, 4]}, "gmm")
    return root


def run(root, prior: str, family: str, parameters: dict, teacher: str | None = None) -> None:
    spec = {
        "root": str(root),
        "prior": prior,
        "family": family,
        "dataset": "digits",
        "parameters": parameters,
    }
    path = root / "specs" / f"{prior}.json"
    write_json(path, {**spec, "teacher": teacher, "teacher_family": teacher})
    with torch.no_grad():
        fit.main(path)


PRIORS = {name: name for name in TINY} | {"two_steps": "consistency", "gmm_map": "regression_map"}


@pytest.mark.parametrize("name", PRIORS)
def test_a_loaded_prior_keeps_its_promises(root, name):
    state = torch.get_rng_state()
    prior = load_prior(prior_path(root, name, PRIORS[name]))
    assert torch.equal(state, torch.get_rng_state())
    assert (
        prior.shape == SHAPE
        and Cap.DECODER in prior.caps
        and prior.sample_nfe == prior.decode_nfe > 0
    )
    z = normal(5, *prior.latent_shape).requires_grad_()
    x = prior.decode(z)
    assert x.shape == (5, *SHAPE) and x.dtype == z.dtype
    (gradient,) = torch.autograd.grad(x[2].sum(), z)
    # rows do not meet
    assert gradient[2].abs().sum() > 0 and gradient[[0, 1, 3, 4]].abs().sum() == 0
    assert prior.sample(3, Rng(("test",), range(2), range(3))).shape == (2, 3, *SHAPE)
    if Cap.DENOISER in prior.caps:
        low, high = prior.sigma_range
        for sigma in (low, 1.0, high):
            one, many = (
                prior.denoise(x.detach(), level)
                for level in (torch.tensor(sigma), torch.full((5,), sigma))
            )
            torch.testing.assert_close(one, many, rtol=1e-4, atol=1e-4)  # float32 networks
            assert one.isfinite().all()


def test_a_map_has_its_teachers_denoiser_and_density(root):
    of_edm = load_prior(prior_path(root, "consistency", "consistency"))
    of_gmm = load_prior(prior_path(root, "gmm_map", "regression_map"))
    assert of_edm.caps == Cap.DECODER | Cap.DENOISER and of_gmm.caps == of_edm.caps | Cap.DENSITY
    x, gmm = normal(3, *SHAPE), load_prior(prior_path(root, "gmm", "gmm"))
    assert torch.equal(of_gmm.log_prob(x), gmm.log_prob(x))
    assert torch.equal(of_gmm.denoise(x, torch.tensor(0.3)), gmm.denoise(x, torch.tensor(0.3)))


@pytest.mark.parametrize("name", PRIORS)
def test_cards_have_the_quality_of_a_prior(root, name):
    card = read_json(root / "priors" / name / "card.json")
    quality = card["unconditional"]
    assert quality["num_images"] == 40 and {"sw2-128", "energy"} <= set(quality["floor"])
    assert card["seconds"] > 0 and card["data_sha256"] and card["num_parameters"] > 0
    assert all(card["settings"][key] == value for key, value in card["parameters"].items())
    assert ("rms_error_to_teacher" in card) == (PRIORS[name] in MAPS)


@pytest.mark.parametrize("name", ["edm", *MAPS, "flow", "vae", "gan"])
def test_the_same_settings_give_the_same_bits(root, name):
    path = prior_path(root, name, name)
    before = {
        file: file.read_bytes()
        for file in path.parent.rglob("*")
        if file.is_file() and file.name != "card.json"
    }
    torch.rand(3)  # the global generator has no effect
    run(root, name, name, TINY[name], "edm" if name in MAPS else None)
    assert {file: file.read_bytes() for file in before} == before


def test_files_that_do_not_belong_together_are_refused(root, tmp_path):
    import shutil

    shutil.copytree(root, tmp_path / "copy")
    path = prior_path(tmp_path / "copy", "edm", "edm")
    config = path.parent / "pipeline" / "unet" / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(ArtefactError, match="is not what"):
        load_prior(path)
    run(tmp_path / "copy", "edm", "edm", {**TINY["edm"], "num_iterations": 4})
    load_prior(path)
    with pytest.raises(ArtefactError, match="another teacher"):
        load_prior(prior_path(tmp_path / "copy", "consistency", "consistency"))


def test_a_pipeline_stands_in_for_training(root):
    source = root / "priors" / "edm" / "pipeline"
    run(root, "opened", "edm", {"pipeline": str(source), "num_ode_steps": 2})
    opened, trained = (load_prior(prior_path(root, name, "edm")) for name in ("opened", "edm"))
    z = normal(3, *SHAPE)
    assert torch.equal(opened.decode(z), trained.decode(z))
    run(
        root,
        "opened_map",
        "consistency",
        {"pipeline": str(root / "priors" / "consistency" / "pipeline")},
    )
    opened = load_prior(prior_path(root, "opened_map", "consistency"))
    assert opened.caps == Cap.DECODER
    assert torch.equal(
        opened.decode(z), load_prior(prior_path(root, "consistency", "consistency")).decode(z)
    )


def test_a_student_needs_a_teacher_or_a_pipeline(root):
    with pytest.raises(UserError, match="expected a teacher or a pipeline"):
        run(root, "alone", "consistency", {})
    with pytest.raises(UserError, match="family regression_map: expected a teacher"):
        run(root, "alone", "regression_map", {})
