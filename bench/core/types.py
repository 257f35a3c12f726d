"""The vocabulary shared by priors, problems, methods and metrics.

Shapes: n rows, m measurements, s samples per measurement, `*x` the shape of one image, `*y` of one measurement.
Units: images are in [-1, 1]; `sigma` and `sigma_y` are standard deviations in those data units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor


class Cap(Flag):
    """What a method needs of prior and problem; a pair whose needs are not met is `n/a (needs ...)`."""

    NONE = 0
    DENOISER = auto()  # prior.denoise(x_t, sigma)
    DECODER = auto()  # prior.decode(z)
    DENSITY = auto()  # prior.log_prob(x)
    GRAD = auto()  # log_likelihood and residual are differentiable in x
    RESIDUAL = auto()  # problem.residual(x, y): the problem is an operator with noise
    LINEAR = auto()  # problem.operator has an adjoint, and the noise is N(0, sigma_y^2 I)
    SIMULATE = auto()  # problem.simulate(x, rng)
    EXACT = auto()  # problem.sample_posterior(y, num_samples, rng)
    SPECTRUM = auto()  # problem.operator.spectrum(y, x_shape), beside LINEAR


@dataclass(frozen=True)
class Uniform:
    """Tuning range, uniform between `low` and `high`."""

    low: float
    high: float


@dataclass(frozen=True)
class LogUniform:
    """Tuning range, uniform in the logarithm between `low` and `high`."""

    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """Tuning range over a finite set."""

    values: tuple


Search = Mapping[str, Uniform | LogUniform | Choice]


class Draws(Protocol):
    """The four functions that draw all random numbers; `Random` and `PerSample` say which axes come before `*shape`."""

    def randn(self, shape: tuple[int, ...]) -> Tensor: ...  # standard normal
    def rand(self, shape: tuple[int, ...]) -> Tensor: ...  # uniform in [0, 1)
    # uniform in [0, high), int64
    def randint(self, high: int, shape: tuple[int, ...]) -> Tensor: ...
    # randn(shape), num_steps times
    def steps(self, num_steps: int, shape: tuple[int, ...]) -> Iterator[Tensor]: ...


class PerSample(Draws, Protocol):
    """Randomness of s posterior samples of each of m measurements: `randn(shape)` is (m, s, *shape).

    Sample j of measurement i comes from a stream of its own, whichever samples are drawn beside it.
    """

    # the same m s streams in one row: prior.sample(1, rng.per_sample.flat) (m s, 1, *x)
    @property
    def flat(self) -> Random: ...
    def __len__(self) -> int: ...  # s


class Random(Draws, Protocol):
    """Randomness of m measurements, one stream each: `randn(shape)` is (m, *shape) (see `bench.core.rng.Rng`).

    Noise that belongs to one posterior sample is drawn from `per_sample`, what samples share (chains, particles,
    weights of a network) from the measurement's stream.
    """

    @property
    def per_sample(self) -> PerSample: ...
    def only(self, i: int) -> Random: ...  # measurement i alone
    def shared(self, name: str) -> Random: ...  # one stream for all measurements
    def __len__(self) -> int: ...  # m


Shape = tuple[int, ...]


class Prior(Protocol):
    """A generative model p(x). `caps` lists which of denoise, decode and log_prob it offers."""

    @property
    def caps(self) -> Cap: ...
    @property
    def shape(self) -> Shape: ...
    @property
    def latent_shape(self) -> Shape: ...
    @property
    def sigma_range(self) -> tuple[float, float]: ...  # noise levels that are useful, data units
    @property
    def decode_nfe(self) -> int: ...  # rows through the network per decoded row
    # rows through the network per prior draw; 0 where draws need none
    @property
    def sample_nfe(self) -> int: ...
    def sample(self, num_samples: int, rng: Random) -> Tensor: ...  # (m, num_samples, *x)
    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t] for x_t = x + sigma eps: x_t (n, *x), sigma () or (n,) -> (n, *x). Rows never interact.

        dtype: the prior's, float32 or float64, which is also that of y and of the result.
        sigma: standard deviations in data units, in `sigma_range` or 0, where the result is the limit: x_t, or of a
        finite set the nearest atom. Beyond the range a network guesses. Any other shape of sigma is refused.
        Derivatives: gradients in x_t exist. Those of higher order, and in forward mode, are right or raise an error;
        closed forms (gmm, mfa, atoms) have them all. Derivatives in sigma are not promised.
        """
        ...

    def decode(self, z: Tensor) -> Tensor: ...  # (n, *z) -> (n, *x)
    def log_prob(self, x: Tensor) -> Tensor: ...  # (n, *x) -> (n,), in nats


@runtime_checkable
class Borrowing(Protocol):
    """A prior that offers another one's capabilities as well, as a distilled map offers its teacher's denoiser."""

    @property
    def borrowed(self) -> Cap: ...  # those of its capabilities that are of the other prior


class Decoder(Protocol):
    """The part of a prior that decodes."""

    @property
    def latent_shape(self) -> Shape: ...
    def decode(self, z: Tensor) -> Tensor: ...  # (n, *z) -> (n, *x)


@runtime_checkable
class FiniteSet(Protocol):
    """A prior that is uniform on `atoms` (N, *x): posteriors are sums over them."""

    @property
    def atoms(self) -> Tensor: ...
    @property
    def shape(self) -> Shape: ...


@runtime_checkable
class Mixture(Protocol):
    """A Gaussian mixture prior: weights (K,), means (K, *x), covariances (K, D, D) in data units."""

    @property
    def weights(self) -> Tensor: ...
    @property
    def means(self) -> Tensor: ...
    @property
    def covariances(self) -> Tensor: ...
    @property
    def shape(self) -> Shape: ...
    def sample(self, num_samples: int, rng: Random) -> Tensor: ...  # (m, num_samples, *x)
    def log_joint(self, x: Tensor) -> Tensor: ...  # (n, *x) -> (n, K): log w_k N(x; mu_k, C_k)
    # (n, *x) -> (n,), (n, *x)
    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]: ...


class Spectrum(Protocol):
    """Singular values of a linear operator and its right singular vectors: A^T A = V diag(values^2) V^T, V orthonormal.

    With z = V^T x the measurement splits into numbers: V^T A^T y = values^2 z + values noise, each with noise of
    standard deviation sigma_y.
    """

    # (1, *x), or (n, *x) where they differ between measurements; zero where A sees nothing
    @property
    def values(self) -> Tensor: ...
    def coordinates(self, x: Tensor) -> Tensor: ...  # V^T x, (n, *x) -> (n, *x)
    def image(self, z: Tensor) -> Tensor: ...  # V z, (n, *x) -> (n, *x)


class Operator(Protocol):
    """Measurement operator A, a frozen dataclass whose fields are its parameters; rows never influence each other.

    `y` is a packed measurement (`bench.core.packed`): it carries what differs between measurements, a mask or a kernel;
    operators without one do not need it. What `HasKernels`, `HasSpectrum` and `HasPicture` list may be left out, as may
    `stored() -> dict[str, Tensor]` for what belongs to all measurements and is worth storing beside them.
    """

    linear: ClassVar[bool]
    masked: ClassVar[bool]

    # (n, *x), (n, *y) -> (n, *clean)
    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor: ...
    # -> (n, *x), the exact transpose; if linear
    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor: ...
    # of one A(x); ValueError where x cannot be measured
    def measured_shape(self, x_shape: Shape) -> Shape: ...
    # (n, *x) in [0, 1) -> 1 where measured, else 0; if masked
    def draw_mask(self, uniform: Tensor) -> Tensor: ...


@runtime_checkable
class HasKernels(Protocol):
    """An operator with a kernel for each measurement, made of `num_uniform` numbers in [0, 1)."""

    @property
    def kernel_size(self) -> int: ...
    @property
    def num_uniform(self) -> int: ...
    # (n, num_uniform) -> (n, kernel_size, kernel_size)
    def draw_kernel(self, uniform: Tensor) -> Tensor: ...


@runtime_checkable
class HasSpectrum(Protocol):
    """A linear operator whose singular values are cheap, for images x_shape and measurements y (n, *y)."""

    def spectrum(self, y: Tensor, x_shape: Shape) -> Spectrum: ...


@runtime_checkable
class HasPicture(Protocol):
    """An operator whose values are no picture: figures show `picture(y)` (n, 1 or 3, h, w) in their place."""

    def picture(self, y: Tensor) -> Tensor: ...


class Problem(Protocol):
    """What is known of y given x. All tensors are row by row: x (n, *x) and y (n, *y)."""

    @property
    def caps(self) -> Cap: ...
    @property
    def sigma_y(self) -> float: ...  # standard deviation of the noise, data units
    @property
    def operator(self) -> Operator: ...
    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor: ...  # (n,), up to a constant
    # (n, *clean): y - A(x), zero where nothing was measured; Poisson noise: scaled to noise of sigma_y everywhere
    def residual(self, x: Tensor, y: Tensor) -> Tensor: ...
    def simulate(self, x: Tensor, rng: Random) -> Tensor: ...  # (n, *x) -> (n, *y)
    # (m, s, *x)
    def sample_posterior(self, y: Tensor, num_samples: int, rng: Random) -> Tensor: ...


Joint = Literal["independent", "chain", "coupled", "point"]
# what a method is, in the order of tables, figures and docs/methods.md; their meanings are in bench/core/kinds.py
Kind = Literal["guidance", "split", "SMC", "latent", "amortised", "control", "other", "baseline"]


class NFE(NamedTuple):
    """Rows through the prior's network per posterior sample, forward and backward; training is not counted.

    at_most: the counts are upper bounds, for costs that depend on the measurement.
    """

    forward: float
    backward: float
    at_most: bool = False


class Method(Protocol):
    """A frozen dataclass whose fields are its hyperparameters.

    A class may also have, as class variables:
    - `uses: Cap`, capabilities that it can do without, asking `prior.caps` and `problem.caps`; nothing if left out;
    - `joint: Joint`, or a field of that name, how the samples of one measurement are related; independent if left out.
      Independent ones may be computed in chunks; states of `num_chains` chains (state t of chain c is sample
      t * num_chains + c) and coupled particles may not; a point estimate is repeated for all samples, and has no
      diversity and no calibration;
    - `kind: Kind`, with which methods it stands in tables and figures; other if left out;
    - `tiny: dict`, settings at which it takes a second, for tests; the defaults if left out.

    A method may also report how well its own sampler worked, see `Diagnosing`.

    `prior.caps` and `problem.caps` show a method what it declares in `needs` and `uses`, and nothing else.
    """

    @property
    def needs(self) -> Cap: ...  # a class variable, or a property where it depends on the settings
    @property
    def search(self) -> Search: ...  # a class variable

    # the cost of a sample, checked against the meter
    def nfe(self, prior: Prior, num_samples: int) -> NFE: ...
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor: ...


# flat and finite, on the CPU, floating-point numbers, integers or bools; {} is a state
State = dict[str, Tensor]


class Trainable(Protocol):
    """A method that is trained before it samples. All that is said of `Method` holds for it, too.

    `train` sees no measurement of the task: it makes its own, `x = prior.sample(n, rng)[0]` and
    `y = problem.simulate(x, rng)`. Its rng holds one stream, so `rng.randn(shape)` is (1, *shape); networks are
    initialised from it as well. What it returns is stored, and handed to `sample` as it was stored, for all its calls.
    """

    @property
    def needs(self) -> Cap: ...
    @property
    def search(self) -> Search: ...

    def nfe(self, prior: Prior, num_samples: int) -> NFE: ...
    def train(self, prior: Prior, problem: Problem, *, rng: Random) -> State: ...
    def sample(
        self,
        prior: Prior,
        problem: Problem,
        y: Tensor,
        num_samples: int,
        *,
        rng: Random,
        state: State,
    ) -> Tensor: ...  # leaves `state` as it is


@runtime_checkable
class Diagnosing(Protocol):
    """A method that estimates how well its sampler worked, from the weights of its own paths or particles.

    Where `train` returned {} it is not called; a method without `train` takes no `state`.
    """

    # some or all of, (m,) each: log_z, an estimate of log E[exp(log_likelihood)] under the prior; elbo, its lower
    # bound; path_ess, the effective sample size as a share; num_ancestors, of the particles
    def diagnose(
        self,
        prior: Prior,
        problem: Problem,
        y: Tensor,
        num_paths: int,
        *,
        rng: Random,
        state: State,
    ) -> Mapping[str, Tensor]: ...
