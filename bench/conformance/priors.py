"""The checks that every family of priors passes, on a prior that it fits in seconds to made-up images.

A family may say in class variables how it is made small: `tiny` (parameters) and `tiny_shape` (of the images).
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.conformance.checks import Check, NotApplicable, require
from bench.conformance.derivatives import derivatives_of
from bench.conformance.plugin import PLUGIN_CHECKS, PluginCase
from bench.core.networks import networks_of
from bench.core.registry import build
from bench.core.rng import Rng
from bench.core.types import Cap, FiniteSet, Shape

ROWS = 5
COUNTS = {"train": 96, "validation": 40, "test": 40}
CLOSE = 2e-3  # data units: networks compute in float32, whatever their input's dtype
WORKS = Cap.DENOISER | Cap.DECODER | Cap.DENSITY  # what a prior may offer


@dataclass(frozen=True)
class PriorCase(PluginCase):
    """A family's file, and a prior that it fits, in float64 unless a check asks for float32."""

    @property
    def shape(self) -> Shape:
        return tuple(getattr(self.cls, "tiny_shape", (1, 8, 8)))

    @cached_property
    def data(self) -> dict[str, Tensor]:
        """Return smooth random images, so that pixels are correlated as in pictures."""
        total = sum(COUNTS.values())
        noise = Rng(("conformance", "images"), range(total), dtype=torch.float32).randn(self.shape)
        smooth = torch.nn.functional.avg_pool2d(noise, 3, 1, padding=1, count_include_pad=False)
        parts = (1.5 * smooth).tanh().split(list(COUNTS.values()))
        ids = torch.arange(total).split(list(COUNTS.values()))
        return dict(zip(COUNTS, parts, strict=True)) | dict(
            zip((f"{name}_id" for name in COUNTS), ids, strict=True)
        )

    @cached_property
    def folder(self) -> Any:
        return tempfile.TemporaryDirectory()

    @cached_property
    def fitted(self) -> tuple[dict[str, Tensor], dict]:
        return self.fit(Path(self.folder.name))

    def fit(self, folder: Path) -> tuple[dict[str, Tensor], dict]:
        with torch.no_grad():  # as the workflow does; a family that trains switches gradients on
            return self.instance.fit(self.data, folder, self.teacher(torch.float64))

    def teacher(self, dtype: torch.dtype) -> Any:
        """Return a Gaussian prior over all images, the teacher of a family that is distilled."""
        size = self.data["train"][0].numel()
        tensors = {
            "weights": torch.ones(1, dtype=dtype),
            "means": torch.zeros(1, *self.shape, dtype=dtype),
            "covariances": 0.2 * torch.eye(size, dtype=dtype)[None],
        }
        return build("prior", "gmm", {}).load(tensors, Path(), None)

    def load(self, dtype: torch.dtype) -> Any:
        tensors = {name: tensor.to(dtype) for name, tensor in self.fitted[0].items()}
        return self.instance.load(tensors, Path(self.folder.name), self.teacher(dtype))

    @cached_property
    def prior(self) -> Any:
        return self.load(torch.float64)

    @cached_property
    def single(self) -> Any:
        return self.load(torch.float32)

    def noisy(self, sigma: float) -> Tensor:
        """Return test images with noise of that level, (ROWS, *x) float64."""
        noise = Rng(("conformance", "noisy", sigma), range(ROWS)).randn(self.shape)
        return self.data["test"][:ROWS].double() + sigma * noise

    @cached_property
    def z(self) -> Tensor:
        return Rng(("conformance", "z"), range(ROWS)).randn(tuple(self.prior.latent_shape))

    def sigmas(self) -> list[float]:
        """Return noise levels from the lowest to the highest that the prior offers."""
        low, high = self.prior.sigma_range
        return sorted({low, *(sigma for sigma in (0.1, 0.5, 2.0) if low < sigma < high), high})

    def needs(self, cap: Cap) -> None:
        """Raise NotApplicable unless the prior offers `cap`."""
        if cap not in self.prior.caps:
            raise NotApplicable(f"it has no {cap}")


def fits(case: PriorCase) -> str:
    state = torch.get_rng_state()
    tensors, card = case.fitted
    require(
        torch.equal(state, torch.get_rng_state()),
        "fit draws from torch's global generator; use core.rng.Rng",
    )
    for name, tensor in tensors.items():
        require(
            isinstance(tensor, Tensor) and tensor.isfinite().all(),
            f"{name} is not a tensor of finite numbers",
        )
    json.dumps(card, allow_nan=False)
    return ", ".join(card)


def fits_alike(case: PriorCase) -> str:
    with tempfile.TemporaryDirectory() as folder:
        tensors, _ = case.fit(Path(folder))
        written, again = (_files(Path(where)) for where in (case.folder.name, folder))
    require(tensors.keys() == case.fitted[0].keys(), "fit gives other tensors the second time")
    changed = [name for name in tensors if not torch.equal(tensors[name], case.fitted[0][name])]
    require(not changed, f"fit gives other values of {', '.join(changed)} the second time")
    require(written == again, "fit writes other files the second time")
    return ""


def describes_itself(case: PriorCase) -> str:
    prior = case.prior
    require(
        tuple(prior.shape) == case.shape,
        f"shape is {tuple(prior.shape)}, the images have {case.shape}",
    )
    require(
        prior.caps and not prior.caps & ~WORKS, f"caps is {prior.caps}; expected some of {WORKS}"
    )
    low, high = prior.sigma_range
    require(
        Cap.DENOISER not in prior.caps or 0 < low < high,
        f"sigma_range is {(low, high)}; expected 0 < low < high",
    )
    for name in ("decode_nfe", "sample_nfe"):
        value = getattr(
            prior, name, 0 if name == "decode_nfe" and Cap.DECODER not in prior.caps else None
        )
        require(
            isinstance(value, int) and value >= 0, f"{name} is {value!r}; expected a whole number"
        )
    return str(prior.caps)


def samples(case: PriorCase) -> str:
    rng = Rng(("conformance", "sample"), range(3), range(4))
    x = case.prior.sample(4, rng)
    require(
        tuple(x.shape) == (3, 4, *case.shape), f"sample(4, rng) of 3 streams gives {tuple(x.shape)}"
    )
    require(x.isfinite().all(), "draws are not finite")
    alone = case.prior.sample(4, Rng(("conformance", "sample"), (1,), range(4)))
    error = (alone[0] - x[1]).abs().max().item()
    require(
        error < CLOSE, f"draws of a stream alone differ by {error:.2g} from those beside others"
    )
    return ""


def denoises(case: PriorCase) -> str:
    case.needs(Cap.DENOISER)
    for sigma in case.sigmas():
        x_t, level = case.noisy(sigma), torch.tensor(sigma, dtype=torch.float64)
        denoised = case.prior.denoise(x_t, level)
        require(
            denoised.shape == x_t.shape and denoised.dtype == x_t.dtype,
            f"denoise gives {denoised.dtype} {denoised.shape}",
        )
        require(denoised.isfinite().all(), f"denoise is not finite at sigma = {sigma}")
        by_row = case.prior.denoise(x_t, level.expand(ROWS).clone())
        error = (by_row - denoised).abs().max().item()
        require(
            error < CLOSE,
            f"a noise level per row differs by {error:.2g} from one for all, at sigma = {sigma}",
        )
    mixed = torch.tensor([*case.sigmas(), 0.5], dtype=torch.float64)[:ROWS]
    x_t = case.noisy(0.5)[: len(mixed)]
    apart = torch.cat([case.prior.denoise(x_t[i : i + 1], sigma) for i, sigma in enumerate(mixed)])
    error = (case.prior.denoise(x_t, mixed) - apart).abs().max().item()
    require(
        error < CLOSE, f"rows with noise levels of their own differ by {error:.2g} from each alone"
    )
    return "at sigma " + ", ".join(f"{sigma:g}" for sigma in case.sigmas())


def denoises_nothing(case: PriorCase) -> str:
    """Check the limit of no noise: x_t itself, or one of the atoms."""
    case.needs(Cap.DENOISER)
    x_t = case.noisy(0.5)
    for sigma in (torch.zeros((), dtype=x_t.dtype), torch.zeros(ROWS, dtype=x_t.dtype)):
        denoised = case.prior.denoise(x_t, sigma)
        expected = x_t
        if isinstance(case.prior, FiniteSet):
            atoms = case.prior.atoms.flatten(1)
            expected = atoms[torch.cdist(x_t.flatten(1), atoms).argmin(1)].view_as(x_t)
        error = (denoised - expected).abs().max().item()
        require(
            error < CLOSE,
            f"at sigma = 0 denoise differs by {error:.2g} from its limit, x_t or the nearest atom",
        )
    return ""


def differentiates(case: PriorCase) -> str:
    case.needs(Cap.DENOISER)
    return derivatives_of(case.prior, case.noisy(0.5))


def score_agrees(case: PriorCase) -> str:
    """Compare (D - x_t) / sigma^2 with the score, and with slopes of the density by finite differences."""
    case.needs(Cap.DENOISER)
    prior = case.prior
    levels = [sigma for sigma in case.sigmas() if sigma < 10]
    has_score = hasattr(prior, "score")
    if not has_score and Cap.DENSITY not in prior.caps:
        raise NotApplicable("it has neither score nor density")
    has_density = Cap.DENSITY in prior.caps
    noisy_density = has_density and "sigma" in inspect.signature(prior.log_prob).parameters
    for sigma in levels:
        x_t, level = case.noisy(sigma), torch.tensor(sigma, dtype=torch.float64)
        score = (prior.denoise(x_t, level) - x_t) / sigma**2
        if has_score:
            _alike(score, prior.score(x_t, level), 1e-3, f"score and denoiser at sigma = {sigma}")
        if noisy_density:
            slopes = _slopes(lambda x, level=level: prior.log_prob(x, level), score)(x_t)
            _alike(
                _along(score), slopes, 1e-2, f"slopes of log_prob and denoiser at sigma = {sigma}"
            )
    # log_prob is then that of the noiseless prior, compared with the denoiser at the smallest noise level
    if has_density and not noisy_density:
        x, level = case.data["test"][:ROWS].double(), torch.tensor(levels[0], dtype=torch.float64)
        score = (prior.denoise(x, level) - x) / level**2
        _alike(
            _along(score),
            _slopes(prior.log_prob, score)(x),
            5e-2,
            f"slopes of log_prob and denoiser at {levels[0]}",
        )
    return ""


def decodes(case: PriorCase) -> str:
    case.needs(Cap.DECODER)
    z = case.z.clone().requires_grad_()
    x = case.prior.decode(z)
    require(
        tuple(x.shape) == (ROWS, *case.shape) and x.dtype == z.dtype,
        f"decode gives {x.dtype} {tuple(x.shape)}",
    )
    (gradient,) = torch.autograd.grad(x[2].sum(), z)
    others = gradient[[0, 1, 3, 4]].abs().sum().item()
    require(gradient[2].abs().sum() > 0, "no gradient passes through decode")
    require(others == 0, "the image of one row depends on another row of z")
    alone = torch.cat([case.prior.decode(case.z[i : i + 1]) for i in range(ROWS)])
    error = (alone - x).abs().max().item()
    require(error < CLOSE, f"a row alone is decoded differently, by {error:.2g}")
    return ""


def costs_what_it_says(case: PriorCase) -> str:
    prior, said = case.prior, {}
    if not networks_of(prior):
        raise NotApplicable("it has no network")
    if Cap.DECODER in prior.caps:
        with _rows_of_networks(prior) as rows:
            prior.decode(case.z)
        said["decode_nfe"] = sum(rows) / ROWS, prior.decode_nfe
    if Cap.DENOISER in prior.caps:
        with _rows_of_networks(prior) as rows:
            prior.denoise(case.noisy(0.5), torch.tensor(0.5))
        # fewer than one where the denoiser has a closed form at some noise levels
        said["a call of denoise"] = max(1.0, sum(rows) / ROWS), 1
    with _rows_of_networks(prior) as rows:
        prior.sample(4, Rng(("conformance", "cost"), range(2), range(4)))
    said["sample_nfe"] = sum(rows) / 8, prior.sample_nfe
    for name, (measured, expected) in said.items():
        require(
            measured == expected,
            f"{name}: {measured:g} rows go through the network for each, {expected} are said",
        )
    return ", ".join(f"{name} {expected}" for name, (_, expected) in said.items())


def works_in_float32(case: PriorCase) -> str:
    calls: dict[str, Callable[[Any, torch.dtype], Tensor]] = {}
    if Cap.DENOISER in case.prior.caps:
        calls["denoise"] = lambda prior, dtype: prior.denoise(
            case.noisy(0.5).to(dtype), torch.tensor(0.5, dtype=dtype)
        )
    if Cap.DECODER in case.prior.caps:
        calls["decode"] = lambda prior, dtype: prior.decode(case.z.to(dtype))
    for name, call in calls.items():
        single, double = call(case.single, torch.float32), call(case.prior, torch.float64)
        require(single.dtype == torch.float32, f"{name} of float32 gives {single.dtype}")
        error = (single.double() - double).abs().max().item()
        require(error < 0.05, f"in float32 {name} differs by {error:.2g}")
    return ", ".join(calls)


@contextmanager
def _rows_of_networks(prior: Any) -> Iterator[list[int]]:
    """Give a list to which each call of a network adds its number of rows."""
    rows: list[int] = []
    hooks = [
        network.register_forward_pre_hook(lambda _, x: rows.append(len(x[0])))
        for network in networks_of(prior)
    ]
    try:
        yield rows
    finally:
        for hook in hooks:
            hook.remove()


def _along(score: Tensor) -> Tensor:
    """Return the slope of the log density along the direction of the score, which is the score's norm, (n,)."""
    return score.flatten(1).norm(dim=1)


def _slopes(log_prob: Callable[[Tensor], Tensor], score: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function for the slope of log_prob along the direction of `score`, by central differences, (n,)."""
    direction = score / _along(score).view(-1, *[1] * (score.dim() - 1))
    return lambda x, step=1e-4: (
        (log_prob(x + step * direction) - log_prob(x - step * direction)) / (2 * step)
    )


def _alike(values: Tensor, expected: Tensor, share: float, what: str) -> None:
    scale = expected.flatten(1).norm(dim=1) if expected.dim() > 1 else expected.abs()
    error = (
        (values - expected).flatten(1).norm(dim=1)
        if values.dim() > 1
        else (values - expected).abs()
    ) / scale
    require((error < share).all(), f"{what} differ by {error.max().item():.2g} of their size")


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()
    }


CHECKS = (
    *PLUGIN_CHECKS,
    Check("fit gives finite tensors and a card, from named streams alone", fits, gate=True),
    Check("a repeated fit gives the same bits", fits_alike),
    Check(
        "the prior says what it offers, at which shape and noise levels",
        describes_itself,
        gate=True,
    ),
    Check("draws have their shape, and streams are independent", samples),
    Check("the denoiser takes one noise level or one per row, and rows are independent", denoises),
    Check("without noise the denoiser gives its limit", denoises_nothing),
    Check("derivatives of the denoiser in x_t are right or refused", differentiates),
    Check("denoiser, score and density agree", score_agrees),
    Check("the decoder has its shape, passes gradients, and rows are independent", decodes),
    Check("the network is called as often as the prior says", costs_what_it_says),
    Check("float32 works", works_in_float32),
)
CASE = PriorCase
