"""`python -m bench.fit specs/priors/<prior>.json`: build a prior from its training data and write it with its card."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import torch
from torch import Tensor

from bench.artefacts import read_json, read_tensors, write_json, write_tensors
from bench.cli import run
from bench.priors import prior_path
from bench.priors.fit import fit_gmm
from bench.priors.gmm import GMM
from bench.provenance import provenance
from bench.rng import Rng


def main(spec_path: str) -> None:
    spec = read_json(spec_path)
    data, header = read_tensors(Path(spec["root"]) / "data" / f"{spec['dataset']}.safetensors")
    families = {"gmm": fit_mixture, "atoms": collect_atoms}
    begin = time.perf_counter()
    tensors, card = families[spec["family"]](data, spec["parameters"])
    facts = {key: spec[key] for key in ("prior", "family", "dataset", "parameters")} | {"data_sha256": header["sha256"]}
    path = prior_path(spec["root"], spec["prior"], spec["family"])
    write_json(
        path.parent / "card.json",
        {**facts, **card, "seconds": time.perf_counter() - begin, "provenance": provenance()},
    )
    write_tensors(path, tensors, {**facts, "provenance": provenance()})


def fit_mixture(data: dict[str, Tensor], parameters: dict) -> tuple[dict[str, Tensor], dict]:
    mixture = fit_gmm(data["train"], **parameters)
    parts = ("train", "validation", "test")
    log_prob = {part: mixture.log_prob(data[part].double()).mean().item() for part in parts}
    tensors = {"weights": mixture.weights, "means": mixture.means, "covariances": mixture.covariances}
    return tensors, {"log_prob_nats": log_prob, "decoder": decoder_card(mixture)}


def decoder_card(mixture: GMM, num_rows: int = 512) -> dict:
    """How far the decoder's ODE is from its limits: finer steps, and a start at far more noise, RMS over pixels."""
    z = Rng(("decoder card",), (0,)).randn((num_rows, *mixture.latent_shape))[0]
    fine = dataclasses.replace(mixture, num_ode_steps=200)
    far = dataclasses.replace(mixture, num_ode_steps=300, sigma_max=8 * mixture.sigma_max)
    decoded, reference = mixture.decode(z), fine.decode(z)

    def rms(difference: Tensor) -> float:
        return difference.square().mean().sqrt().item()

    return {
        "evaluations": mixture.decode_nfe,
        "sigma_max": mixture.sigma_max,
        "rms_error_against_fine_integrator": rms(decoded - reference),
        "max_error_against_fine_integrator": (decoded - reference).abs().max().item(),
        "rms_change_from_larger_sigma_max": rms(reference - far.decode(z)),
    }


def collect_atoms(data: dict[str, Tensor], parameters: dict) -> tuple[dict[str, Tensor], dict]:
    atoms = data.get("atoms", data["train"])
    return {"atoms": atoms}, {"num_atoms": len(atoms)}


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main)
