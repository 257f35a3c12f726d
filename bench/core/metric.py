"""What a metric is: its columns, what it is computed from, and the base class of the plug-ins in bench/metrics.

Not in `bench.core.types`, which every method imports: an edit here must not draw samples again. No import of torch.

Shapes: m measurements of a chunk, M of the task, s samples and e reference draws of each, `*x` the shape of one image.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from bench.core.types import Cap, Operator

Need = Literal["", "operator", "reference", "teacher", "reward", "chain", "score"]
Extent = Literal["measurement", "task", "real images"]
Gradient = Callable[["Tensor", "Tensor"], "Tensor"]  # x (n, *x), y (n, *y) -> (n, *x)
# in the place of a method's name: reference draws against other reference draws
REFERENCE = "reference"
T = TypeVar("T")
Better = Literal["higher", "lower"] | float | None
Average = Literal["arithmetic", "harmonic"]


@dataclass(frozen=True)
class Column:
    """One column of the tables.

    id: its name, the same in every table; no two metrics share one. definition: one or two sentences.
    better: "higher", "lower", the value that a perfect sampler has in expectation, or None: neither way is better.
    needs: a measurement "operator" with the x_true behind y, "reference" draws of the posterior, those of the posterior
    under a distilled map's "teacher", a "reward", a "chain" of states, the "score" of the posterior, or nothing ("").
    extent: a value for each "measurement", one for the whole "task", or one for the task that "real images" have, which
    stands in the rows of the reference.
    not_finite: reason of a cell whose value is not finite; "" stands for that of the column's need.
    undefined: reason of a cell whose value is NaN, where that has another cause than one that is infinite.
    average: how values are averaged over measurements and seeds. "harmonic" is for the reciprocals of errors: the
    mean is 1 / mean(1 / value), and tests compare 1 / value.
    of_point: whether it says something of a single image, so that methods which return a point estimate have it.
    """

    id: str
    definition: str
    better: Better
    unit: str = "1"
    needs: Need = ""
    extent: Extent = "measurement"
    not_finite: str = ""
    undefined: str = ""
    average: Average = "arithmetic"
    of_point: bool = False


class Likelihood(Protocol):
    """The part of a problem that metrics use, row by row; a reward (no RESIDUAL in `caps`) has its likelihood alone."""

    caps: Cap
    sigma_y: float
    operator: Operator

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor: ...
    def residual(self, x: Tensor, y: Tensor) -> Tensor: ...
    def num_measured_values(self, y: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Context:
    """What is known of a task before any sample is read.

    dataset: its name. x_shape: of one image. num_measurements, num_samples: M and s.
    load_classifier: opens a classifier by name. load_images: returns the data set's tensors (`train`, `test`, ...).
    """

    dataset: str
    x_shape: tuple[int, ...]
    num_measurements: int
    num_samples: int
    load_classifier: Callable[[str], Any]
    load_images: Callable[[], Mapping[str, Tensor]]
    cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @property
    def side(self) -> int:
        """Return the number of pixels along an image."""
        return self.x_shape[-1]

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return make(), called the first time that `key` is asked for."""
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of m measurements, in float64. Costly summaries are kept in `cache` for all methods.

    x_true: (m, *x). y: (m, *y). reference: draws (m, e, *x) of the posterior; mean, std: its moments (m, *x).
    has_formula: whether a formula gave the moments; else they are those of the reference draws.
    teacher: the same for the posterior under the map's teacher. score: gradient of log p(x | y) in x.
    num_chains: of the run at hand, 0 if its samples are not chains (state t of chain c is sample t * num_chains + c).
    """

    problem: Likelihood
    x_true: Tensor
    y: Tensor
    reference: Tensor
    mean: Tensor
    std: Tensor
    context: Context
    teacher: Truth | None = None
    score: Gradient | None = None
    num_chains: int = 0
    has_formula: bool = True
    cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @property
    def draws(self) -> Tensor:
        """Return the reference draws as vectors, (m, e, D)."""
        return self.reference.flatten(2)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return make(), called the first time that `key` is asked for."""
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]

    def of_draws(self, function: Callable[..., Tensor], *arguments: Hashable) -> Tensor:
        """Return function(draws, *arguments), computed once."""
        return self.once((function, *arguments), lambda: function(self.draws, *arguments))

    def of_samples(self, samples: Tensor, function: Callable[[Tensor, Truth], T]) -> T:
        """Return function(samples, self), computed once for all metrics that are given the same tensor of samples.

        What was computed of the samples before is dropped.
        """
        kept, values = self.cache.get("samples", (None, {}))
        if kept is not samples:
            kept, values = self.cache["samples"] = samples, {}
        if function not in values:
            values[function] = function(samples, self)
        return values[function]

    def log_likelihood(self, samples: Tensor) -> Tensor:
        """Return the log likelihood of each sample, (m, s, *x) -> (m, s)."""
        s = samples.shape[1]
        values = self.problem.log_likelihood(samples.flatten(0, 1), self.y.repeat_interleave(s, 0))
        return values.unflatten(0, (-1, s))


class Metric:
    """Base class of the plug-ins in bench/metrics, which are frozen dataclasses; their fields are parameters.

    A metric has `columns`, and at least one of `compute` (values per measurement) and `summarise` (one per task).
    `tiny` holds the parameters with which the contract tests open it.
    """

    tiny: ClassVar[Mapping[str, Any]] = {}

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        """Return the columns in their order; context is None where they are only listed."""
        raise NotImplementedError

    def prepare(self, context: Context) -> None:
        """Open what takes long or may be missing, before any work; UserError when it is missing."""

    def why_empty(self, truth: Truth) -> dict[str, str]:
        """Return reasons `n/a (...)` by column id, for all methods on a task; truth: of its first measurements.

        Columns whose needs are not met have a reason without this. Where all columns have one nothing is computed.
        """
        return {}

    def why_empty_of_run(
        self, values: Mapping[str, Tensor], num_chains: int, context: Context
    ) -> dict[str, str]:
        """Return reasons `n/a (...)` by column id, for all measurements of one run of chains.

        values: (n,) by id, of the measurements that have samples.
        """
        return {}

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        """Return values (m,) by column id for samples (m, s, *x); rows must not depend on each other.

        What `summarise` combines to one number per task is returned here, too.
        """
        return {}

    def summarise(
        self, samples: Tensor, values: dict[str, Tensor], context: Context
    ) -> dict[str, float]:
        """Return a number for each column of the extent "task", from samples (M, s, *x) and the values (M,)."""
        return {}

    def real_images(self, context: Context) -> dict[str, float]:
        """Return a number for each column of the extent "real images"."""
        return {}
