"""Kinds of methods: the groups of tables and figures, in their order, and what each holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # tables and figures need no torch
    from bench.core.types import Kind

OTHER: Kind = "other"
KINDS: dict[Kind, str] = {
    "guidance": "A reverse diffusion whose steps are pulled towards the measurement.",
    "split": "Denoising and fitting the measurement by turns: proximal steps, Gibbs sampling, projections.",
    "SMC": "Weighted particles that follow a reverse diffusion.",
    "latent": "Markov chains, or descent, in the noise space of a decoder.",
    "amortised": "Networks trained on simulated measurements of a problem, then used for all of them.",
    "control": "What other methods are read against: approximations known to be coarse, or samplers that ask for more "
    "than a denoiser or a decoder.",
    "other": "Methods that do not say what they are.",
    "baseline": "Exact draws, draws of the prior, and estimates that any sampler should beat.",
}


def kind_of(method: object) -> Kind:
    """Return the kind that a method or its class declares; `other` for one that names none of them."""
    declared = getattr(method, "kind", OTHER)
    return declared if declared in KINDS else OTHER


def by_kind(
    methods: Iterable[str], kinds: Mapping[str, str], first: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return methods in the order of their kinds, those of one kind in the order given; `first` come before all."""
    order: list[str] = list(KINDS)
    first = set(first)
    return tuple(
        sorted(methods, key=lambda m: -1 if m in first else order.index(kinds.get(m, OTHER)))
    )
