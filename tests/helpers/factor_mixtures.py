"""Small mixtures of factor analysers, and the same as dense Gaussians."""

import math

import torch
from torch.distributions import (
    Categorical,
    MixtureSameFamily,
    MultivariateNormal,
)

from bench.priors._mfa import MFA
from bench.priors._mfa_basis import Basis
from bench.priors._mfa_fit import Settings

SHAPE = (3, 4, 6)
SETTINGS = Settings(
    num_components=3, rank=4, num_rounds=4, num_updates=2, shrinkage=5.0, floor=1e-4
)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(num, shape, seed=0):
    """Images whose neighbouring pixels are alike."""
    noise = normal(num, *shape, seed=seed)
    return torch.nn.functional.avg_pool2d(noise, 3, 1, 1, count_include_pad=False)


def mixture(num_components=4, shape=SHAPE, rank=3, seed=0):
    """Means and factors of about half a unit, noise between 0.05 and 0.4."""
    size = math.prod(shape)
    basis = Basis.fitted(smooth(200, shape, seed))
    return MFA(
        normal(num_components, seed=seed + 1).softmax(0),
        0.5 * normal(num_components, *shape, seed=seed + 2),
        0.4 * normal(num_components, size, rank, seed=seed + 3),
        0.05 + 0.1 * normal(num_components, size, seed=seed + 4).square(),
        basis,
    )


def covariances(prior):
    """Of all components, as the contract of the file says."""
    basis = prior.basis.matrix()
    return basis @ (prior.factors @ prior.factors.mT + torch.diag_embed(prior.psi)) @ basis.T


def law(prior, sigma=0.0):
    """The density of x + sigma eps according to torch."""
    noise = sigma**2 * torch.eye(prior.psi.shape[1], dtype=torch.float64)
    components = MultivariateNormal(prior.means.flatten(1), covariances(prior) + noise)
    return MixtureSameFamily(Categorical(prior.weights), components)


# ---- the basis
