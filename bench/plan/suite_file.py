"""What a suite's file may say: dataclasses from whose fields and comments the JSON schema is made.

`Annotated` holds the limits in the words of JSON schema. `DatasetName`, `PriorName`, `TaskName`, `MethodName` are names
of entries of the same file. Fields without a default are required. Entries of priors, tasks, methods and data sets also
have the fields of their plug-in's dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

DatasetName = PriorName = TaskName = MethodName = FamilyName = OperatorName = str
Settings = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """What a run may spend on sampling, without training. A run that needs more has no samples, and says so."""

    nfe: Annotated[float, {"exclusiveMinimum": 0}] | None = None  # rows of the prior's network per sample, both ways
    seconds: Annotated[float, {"exclusiveMinimum": 0}] | None = None  # of a whole run
    mib: Annotated[float, {"exclusiveMinimum": 0}] | None = None  # memory beyond the start, before each network call


@dataclass(frozen=True)
class Clock:
    """Seconds of each method, taken alone on the machine."""

    num_samples: Annotated[list[Annotated[int, {"minimum": 1, "maximum": 100000}]], {"minItems": 1}]  # each is timed
    repeats: Annotated[int, {"minimum": 5, "maximum": 100}]  # calls at least, of all visits; more where they differ
    visits: Annotated[int, {"minimum": 1, "maximum": 20}] = 1  # processes that time a run, minutes apart
    patience: Annotated[float, {"exclusiveMinimum": 0}] = 60.0  # seconds after which repeats end though they differ
    tasks: Annotated[list[TaskName], {"minItems": 1}] | None = None  # the only tasks that are timed
    methods: Annotated[list[MethodName], {"minItems": 1}] | None = None  # the only methods that are timed


@dataclass(frozen=True)
class Tune:
    """Settings tried on validation images, at the same cost for each method."""

    seconds: Annotated[float, {"exclusiveMinimum": 0}]  # for a method on a task, training and confirmation included
    num_measurements: Annotated[int, {"minimum": 2, "maximum": 150}]  # of validation images; as many others confirm
    num_samples: Annotated[int, {"minimum": 2, "maximum": 100000}]  # of each measurement
    tasks: Annotated[list[TaskName], {"minItems": 1}]  # where, as far as the methods run there
    methods: Annotated[list[MethodName], {"minItems": 1}]  # of those that declare a range to search


@dataclass(frozen=True)
class Restriction:
    """Where a method runs, and on how much of it."""

    tasks: Annotated[list[TaskName], {"minItems": 1}] | None = None  # the only tasks it runs on
    num_measurements: Annotated[int, {"minimum": 1}] | None = None  # of each task, the first ones


@dataclass(frozen=True)
class PriorEntry:
    """A model of a data set, with the fields of its family in bench/priors."""

    family: FamilyName  # kind of model, a file in bench/priors
    dataset: DatasetName  # the images it is a model of
    teacher: PriorName | None = None  # the prior whose map from noise to data it learns


@dataclass(frozen=True)
class TaskEntry:
    """A prior and a problem, with the fields of its operator in bench/operators."""

    operator: OperatorName  # how an image is measured, a file in bench/operators
    sigma_y: Annotated[float, {"exclusiveMinimum": 0}]  # standard deviation of the noise, in data units [-1, 1]
    prior: PriorName | None = None  # by default the longest name of a prior that the task's name starts with
    settings: dict[MethodName, Settings] | None = None  # of single methods here, over those under methods


@dataclass(frozen=True)
class RewardEntry:
    """A prior and a reward, p(class | x)^beta, for the class of the image, in place of a measurement."""

    operator: OperatorName  # class
    classifier: Literal["digits-cnn-v1"]  # whose p(class | x)
    beta: Annotated[float, {"exclusiveMinimum": 0}]  # inverse temperature
    differentiable: bool = True  # false: methods get no gradient of it
    prior: PriorName | None = None  # by default the longest name of a prior that the task's name starts with
    settings: dict[MethodName, Settings] | None = None  # of single methods here, over those under methods


@dataclass(frozen=True)
class SuiteFile:
    """A suite: the methods that are compared, and the tasks they are compared on."""

    name: Annotated[str, {"pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]*\Z"}]  # folder of the results, results/<name>
    seeds: Annotated[
        list[Annotated[int, {"minimum": 0}]], {"minItems": 1}
    ]  # a run of each method on each task for each
    num_measurements: Annotated[int, {"minimum": 2, "maximum": 300}]  # measurements per task, of as many test images
    num_samples: Annotated[int, {"minimum": 2, "maximum": 100000}]  # posterior samples of each measurement
    num_reference: Annotated[int, {"minimum": 2, "maximum": 100000}]  # draws in each of two sets; num_samples or more
    rows_per_chunk: Annotated[int, {"minimum": 1}] | Literal["auto"]  # images in one network call; not what is drawn
    datasets: Annotated[dict[str, Any], {"minProperties": 1}]  # the images, by name, with their parameters
    priors: Annotated[dict[str, PriorEntry], {"minProperties": 1}]  # the generative models, by name
    tasks: Annotated[dict[str, TaskEntry], {"minProperties": 1}]  # what is measured, by name
    methods: Annotated[dict[str, Settings], {"minProperties": 1}]  # the samplers by name, with their hyperparameters
    num_particles: Annotated[int, {"minimum": 2, "maximum": 100000}] | None = None  # of references by tempered SMC
    figures: dict[str, Settings] | None = None  # beside those of every suite, or these with other parameters
    metrics: dict[str, Settings] | None = None  # beside those that every suite has, with their parameters
    budget: Annotated[Budget, {"minProperties": 1}] | None = None  # what a run may spend on sampling
    clock: Clock | None = None  # seconds of each method, alone on the machine
    timing_only: Literal[True] | None = None  # the clock alone looks at the runs; for priors of random weights
    device: Literal["cpu", "cuda"] = "cpu"  # what runs are trained, drawn and timed on
    precision: Literal["float64", "float32", "tf32", "bf16"] = "float64"  # of runs; networks are float32 or less
    channels_last: bool = False  # networks of runs keep the channels of a pixel side by side
    compile: bool = False  # networks of runs go through torch.compile
    cuda_graphs: bool = False  # compiled networks are replayed as CUDA graphs
    tune: Tune | None = None  # settings tried on validation images
    restrict: dict[MethodName, Annotated[Restriction, {"minProperties": 1}]] | None = None  # where methods run


@dataclass(frozen=True)
class ToyFile:
    """A suite of toys, which compares nothing."""

    name: Annotated[str, {"pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]*\Z"}]  # folder of the results, results/<name>
    toys: Annotated[dict[str, Settings], {"minProperties": 1}]  # figures of toys, by name, with their parameters
