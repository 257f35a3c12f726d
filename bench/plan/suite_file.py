"""What a suite's file may say: dataclasses from whose fields and comments the JSON schema is made.

`Annotated` holds the limits in the words of JSON schema. `DatasetName`, `PriorName`, `TaskName`, `MethodName` are names
of entries of the same file. Fields without a default are required. Entries of priors, tasks, methods and data sets also
have the fields of their plug-in's dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

DatasetName = PriorName = TaskName = MethodName = FamilyName = OperatorName = ModuleName = str
PlaceName = str  # keys from the top, with points between
Settings = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """What a run may spend on sampling, without training. A run that needs more has no samples, and says so."""

    # rows of the prior's network per sample, both ways
    nfe: Annotated[float, {"exclusiveMinimum": 0}] | None = None
    seconds: Annotated[float, {"exclusiveMinimum": 0}] | None = None  # of a whole run
    # memory beyond the start, before each network call
    mib: Annotated[float, {"exclusiveMinimum": 0}] | None = None


@dataclass(frozen=True)
class Limits:
    """What the process of a training or of a run may take; one that exceeds it is ended, and says so in its cells."""

    seconds: Annotated[float, {"exclusiveMinimum": 0}] | None = None  # of the wall
    memory_gib: Annotated[float, {"exclusiveMinimum": 0}] | None = None  # resident at once


@dataclass(frozen=True)
class Clock:
    """Seconds of each method, taken alone on the machine."""

    # each is timed
    num_samples: Annotated[list[Annotated[int, {"minimum": 1, "maximum": 100000}]], {"minItems": 1}]
    # calls at least, of all visits; more where they differ
    repeats: Annotated[int, {"minimum": 5, "maximum": 100}]
    # processes that time a run, minutes apart
    visits: Annotated[int, {"minimum": 1, "maximum": 20}] = 1
    # seconds after which repeats end though they differ
    patience: Annotated[float, {"exclusiveMinimum": 0}] = 60.0
    tasks: Annotated[list[TaskName], {"minItems": 1}] | None = None  # the only tasks that are timed
    # the only methods that are timed
    methods: Annotated[list[MethodName], {"minItems": 1}] | None = None


@dataclass(frozen=True)
class Tune:
    """Settings tried on validation images, at the same cost for each method."""

    # for a method on a task, training and confirmation included
    seconds: Annotated[float, {"exclusiveMinimum": 0}]
    # of validation images; as many others confirm
    num_measurements: Annotated[int, {"minimum": 2, "maximum": 150}]
    num_samples: Annotated[int, {"minimum": 2, "maximum": 100000}]  # of each measurement
    tasks: Annotated[list[TaskName], {"minItems": 1}]  # where, as far as the methods run there
    methods: Annotated[list[MethodName], {"minItems": 1}]  # of those that declare a range to search


@dataclass(frozen=True)
class Restriction:
    """Where a method runs, and on how much of it."""

    tasks: Annotated[list[TaskName], {"minItems": 1}] | None = None  # the only tasks it runs on
    num_measurements: Annotated[int, {"minimum": 1}] | None = None  # of each task, the first ones
    # in place of those of the suite, of which they are some
    seeds: (
        Annotated[list[Annotated[int, {"minimum": 0, "maximum": 4294967295}]], {"minItems": 1}]
        | None
    ) = None


@dataclass(frozen=True)
class PriorEntry:
    """A model of a data set, with the fields of its family in bench/priors."""

    family: FamilyName  # kind of model, a file in bench/priors
    dataset: DatasetName  # the images it is a model of
    teacher: PriorName | None = None  # the prior that it learns from: its map, or its draws


@dataclass(frozen=True)
class TaskEntry:
    """A prior and a problem, with the fields of its operator in bench/operators."""

    operator: OperatorName  # how an image is measured, a file in bench/operators
    # standard deviation of the noise, in data units [-1, 1]; with noise: gaussian alone
    sigma_y: Annotated[float, {"exclusiveMinimum": 0}]
    noise: Literal["gaussian", "poisson"] = "gaussian"  # of the measurement
    # mean count of white over 255, as DPS has it; with noise: poisson alone, in place of sigma_y
    rate: Annotated[float, {"exclusiveMinimum": 0}] | None = None
    # what is measured: test images, or draws of the prior, for which an exact sampler is calibrated
    truth: Literal["data", "prior"] = "data"
    # by default as many as the suite says
    num_measurements: Annotated[int, {"minimum": 2, "maximum": 1000}] | None = None
    # by default the longest name of a prior that the task's name starts with
    prior: PriorName | None = None
    # how the posterior has to be known: by formula, by checked particles, or not at all; by default the best there is
    reference: Literal["none", "particles", "exact"] | None = None
    # of single methods here, over those under methods
    settings: dict[MethodName, Settings] | None = None


@dataclass(frozen=True)
class RowEntry:
    """A sampler with its hyperparameters, the fields of its plug-in in methods."""

    # a file in methods; by default the one that the row's name starts with
    plugin: ModuleName | None = None
    # of the row, over those of the suite
    limits: Annotated[Limits, {"minProperties": 1}] | None = None


@dataclass(frozen=True)
class RewardEntry:
    """A prior and a reward, p(class | x)^beta, for the class of the image, in place of a measurement."""

    operator: OperatorName  # class
    # whose p(class | x)
    classifier: Literal[
        "digits-cnn-v1",
        "fashion-cnn-v1",
        "cifar10-vgg13_bn",
        "cifar10-vgg13_bn-narrow",
        "ffhq-wrapped",
        "ffhq-wrapped-stub",
    ]
    beta: Annotated[float, {"exclusiveMinimum": 0}]  # inverse temperature
    differentiable: bool = True  # false: methods get no gradient of it
    # by default as many as the suite says
    num_measurements: Annotated[int, {"minimum": 2, "maximum": 1000}] | None = None
    # by default the longest name of a prior that the task's name starts with
    prior: PriorName | None = None
    # how the posterior has to be known: by formula, by checked particles, or not at all; by default the best there is
    reference: Literal["none", "particles", "exact"] | None = None
    # of single methods here, over those under methods
    settings: dict[MethodName, Settings] | None = None


@dataclass(frozen=True)
class Leading:
    """What leads tables and the page: keys of `metrics` beside the plug-ins."""

    # id of the metric by which methods are compared first
    headline: Annotated[str, {"pattern": r"^[A-Za-z0-9][A-Za-z0-9_.@+,\[\]-]*\Z"}]
    # ids of metrics and costs beside it, in this order; also over_floor, network_calls, milliseconds
    columns: Annotated[
        list[Annotated[str, {"pattern": r"^[A-Za-z0-9][A-Za-z0-9_.@+,\[\]-]*\Z"}]], {"minItems": 1}
    ]


@dataclass(frozen=True)
class SuiteFile:
    """A suite: the methods that are compared, and the tasks they are compared on."""

    # folder of the results, results/<name>
    name: Annotated[str, {"pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z"}]
    # a run of each method on each task for each
    seeds: Annotated[list[Annotated[int, {"minimum": 0, "maximum": 4294967295}]], {"minItems": 1}]
    # measurements per task, of as many test images
    num_measurements: Annotated[int, {"minimum": 2, "maximum": 1000}]
    # posterior samples of each measurement
    num_samples: Annotated[int, {"minimum": 2, "maximum": 100000}]
    # draws in each of two sets; num_samples or more
    num_reference: Annotated[int, {"minimum": 2, "maximum": 100000}]
    # images in one network call; not what is drawn
    rows_per_chunk: Annotated[int, {"minimum": 1}] | Literal["auto"]
    # the images, by name, with their parameters
    datasets: Annotated[dict[str, Any], {"minProperties": 1}]
    priors: Annotated[dict[str, PriorEntry], {"minProperties": 1}]  # the generative models, by name
    tasks: Annotated[dict[str, TaskEntry], {"minProperties": 1}]  # what is measured, by name
    # the samplers by name, with their hyperparameters
    methods: Annotated[dict[str, Settings], {"minProperties": 1}]
    # of methods that are trained, those of `seeds` among them; by default `seeds`
    training_seeds: (
        Annotated[list[Annotated[int, {"minimum": 0, "maximum": 4294967295}]], {"minItems": 1}]
        | None
    ) = None
    # of references by tempered SMC
    num_particles: Annotated[int, {"minimum": 2, "maximum": 100000}] | None = None
    # beside those of every suite, or these with other parameters
    figures: dict[str, Settings] | None = None
    # beside those that every suite has, with their parameters; `headline` and `columns` say what leads
    metrics: dict[str, Settings] | None = None
    # what a run may spend on sampling
    budget: Annotated[Budget, {"minProperties": 1}] | None = None
    # of the process of each run; a row may have its own
    limits: Annotated[Limits, {"minProperties": 1}] | None = None
    # a suite in results/reference whose published rows stand beside these; true: of the same name; reference: of the
    # same name where that one is published, else `default`
    beside: str | Literal[True] | None = None
    # rows per sample at which the table of distances compares: both ways, with the share of training
    budget_rows: Annotated[float, {"exclusiveMinimum": 0}] | None = None
    clock: Clock | None = None  # seconds of each method, alone on the machine
    # the clock alone looks at the runs; for priors of random weights
    timing_only: Literal[True] | None = None
    device: Literal["cpu", "cuda"] = "cpu"  # what runs are trained, drawn and timed on
    # of runs; networks are float32 or less
    precision: Literal["float64", "float32", "tf32", "bf16"] = "float64"
    channels_last: bool = False  # networks of runs keep the channels of a pixel side by side
    compile: bool = False  # networks of runs go through torch.compile
    cuda_graphs: bool = False  # compiled networks are replayed as CUDA graphs
    tune: Tune | None = None  # settings tried on validation images
    claims: bool = False  # test the papers' claims, which other suites quote from what is published
    # the paper whose experiments these are: what it prints stands beside the rows
    paper: Literal["dps", "cps", "ods", "aps"] | None = None
    # what that paper does not say: a place in this file, such as tasks.x.factor, and why it has this value
    unknown: dict[PlaceName, str] | None = None
    # what is otherwise in a rehearsal of it, key by key; null leaves an entry out
    rehearse: Settings | None = None
    rehearsal_of: str | None = None  # in a file that `posterior-bench rehearse` wrote: the suite
    # where methods run
    restrict: dict[MethodName, Annotated[Restriction, {"minProperties": 1}]] | None = None


@dataclass(frozen=True)
class ToyFile:
    """A suite of toys, which compares nothing."""

    # folder of the results, results/<name>
    name: Annotated[str, {"pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z"}]
    # figures of toys, by name, with their parameters
    toys: Annotated[dict[str, Settings], {"minProperties": 1}]
