"""Make the measurements of a task, once, for everybody: `python -m bench.stages.observe specs/tasks/<task>.json`.

Every test and validation image is measured; methods get the measurements of the first `num_measurements` test images.
Where a task has `truth: prior`, draws of the prior take the place of the images.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container
from pathlib import Path

import torch
from torch import Tensor

from bench.core.artefacts import (
    ArtefactError,
    Json,
    read_header,
    read_tensors,
    write_broken,
    write_tensors,
)
from bench.core.errors import Broken, UserError
from bench.core.packed import kernel_of
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.rng import Rng
from bench.core.specs import TaskSpec
from bench.core.types import HasKernels, HasPicture
from bench.priors import load_prior
from bench.problems.inverse_problem import InverseProblem
from bench.problems.measurements import content_hash, packed, problem_of
from bench.problems.posteriors import posterior_of
from bench.problems.reward import Reward, one_hot
from bench.runtime.containment import Ending
from bench.runtime.job import run

PARTS = ("test", "validation")
UNKNOWN_SHAPE = (1, 8, 8)  # of the blank pictures of a task whose images could not be read


def main(spec_path: str) -> None:
    spec = TaskSpec.read(spec_path)
    data, data_header = read_tensors(spec.layout.data(spec.dataset))
    header: Json = {}
    if spec.truth == "prior":
        data = drawn_images(spec, data)
        prior = read_header(spec.layout.prior(spec.prior, spec.family))
        header = {"truth": spec.truth, "prior_sha256": prior["sha256"]}
    if spec.num_measurements > len(data["test"]):
        counts = f"num_measurements is {spec.num_measurements}, but {spec.dataset} has {len(data['test'])}"
        raise UserError(f"{spec_path}: {counts} test images")
    try:
        problem = problem_of(spec.facts, tuple(data["test"].shape[1:]), root=spec.root)
    except ValueError as error:
        raise UserError(f"{spec_path}: {error}") from None
    header |= spec.facts | {"data_sha256": data_header["sha256"]}
    if isinstance(problem, Reward):
        everything = classes_in_turn(data, problem.classifier.num_classes)
        classifier = spec.layout.classifier(spec.parameters["classifier"])
        header |= {"root": spec.root, "classifier_sha256": read_header(classifier)["sha256"]}
    else:
        everything = measure_all(problem, spec.task, data)
        header |= {"noise": "scaled by sigma_y" if spec.rate is None else "y - A(x), Poisson"}
    measurements = first_measurements(everything, spec.num_measurements, stored_of(problem))
    _refuse_other(spec, content_hash(measurements))
    files = spec.layout.task(spec.task)
    _write(files.all_measurements, everything, header)
    known = _perplexity(spec, problem, measurements) if spec.perplexity else {}
    _write(files.measurements, measurements, header | known)


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write why there are no measurements, in both files; the next run tries again unless the failure is another's."""
    spec = TaskSpec.read(spec_path)
    files, reason = spec.layout.task(spec.task), ending.reason
    if not ending.is_inherited:
        reason = f"measurements of {spec.task}: {reason}"
    x_shape = UNKNOWN_SHAPE
    with contextlib.suppress(Broken, ArtefactError):
        x_shape = tuple(read_tensors(spec.layout.data(spec.dataset))[0]["test"].shape[1:])
    nothing = torch.full((spec.num_measurements, *x_shape), torch.nan)
    tensors = {"x_true": nothing, "y": nothing, "noise": nothing}
    tensors["image_id"] = torch.arange(spec.num_measurements)
    header = spec.facts | {"observations_sha256": content_hash(tensors)}
    for path in (files.all_measurements, files.measurements):
        write_broken(path, reason, header | {"provenance": provenance()}, tensors)
    note_failure(files.all_measurements, reason, not ending.is_inherited)


def _refuse_other(spec: TaskSpec, sha256: str) -> None:
    """Raise UserError, one line, where `beside` asks for published rows that are of other measurements."""
    if spec.published_sha256 not in ("", sha256):
        raise UserError(
            f"{spec.task}: its measurements (sha256 {sha256[:12]}) are not those of the published rows that `beside` "
            f"names ({spec.published_sha256[:12]}); give the task its published settings, or leave out `beside`"
        )


def drawn_images(spec: TaskSpec, data: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return draws of the prior, float32, in place of a data set's test and validation images.

    Draws are numbered from 0, and draw i depends on (task, i) alone. There are as many as images, but at least
    `num_measurements` for the test.
    """
    num_test = max(len(data["test"]), spec.num_measurements)
    sizes = [num_test, len(data["validation"])]
    ids = torch.arange(sum(sizes))
    prior = load_prior(spec.layout.prior(spec.prior, spec.family))
    with torch.no_grad():
        x = prior.sample(1, Rng(("x_true", spec.task), ids.tolist()))[:, 0].float()
    names = ("test", "validation")
    images = dict(zip(names, x.split(sizes), strict=True))
    return images | {f"{name}_id": part for name, part in zip(names, ids.split(sizes), strict=True)}


def measure_all(problem: InverseProblem, task: str, data: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the measurements of all test images, then of all validation images, float32."""
    x_true = torch.cat([data["test"], data["validation"]])
    image_id = torch.cat([data["test_id"], data["validation_id"]])
    is_test = torch.arange(len(x_true)) < len(data["test"])
    return {**measure(problem, task, x_true, image_id), "image_id": image_id, "is_test": is_test}


def classes_in_turn(data: dict[str, Tensor], num_classes: int) -> dict[str, Tensor]:
    """Return the measurements of a reward, images' classes: of all test images, then of all validation images, float32.

    The test images are sorted: first one of each class, in the order of the classes, then another of each, and so on.
    """
    # draws of a prior and unlabelled images get one class after the other
    if "test_label" not in data:
        numbered = {f"{part}_label": torch.arange(len(data[part])) % num_classes for part in PARTS}
        data = data | numbered
    labels = one_hot(data["test_label"], num_classes).flatten(1).long()
    earlier = (labels.cumsum(0) * labels).sum(1)  # images of the same class so far
    order = torch.argsort(earlier * num_classes + data["test_label"])
    test = {what: data[f"test{what}"][order] for what in ("", "_id", "_label")}
    x_true, image_id, label = (
        torch.cat([test[what], data[f"validation{what}"]]) for what in ("", "_id", "_label")
    )
    is_test = torch.arange(len(x_true)) < len(order)
    return {
        "x_true": x_true.float(),
        "y": one_hot(label, num_classes),
        "image_id": image_id,
        "is_test": is_test,
    }


def measure(
    problem: InverseProblem, task: str, x_true: Tensor, image_id: Tensor
) -> dict[str, Tensor]:
    """Return x_true, y = A(x_true) + noise, noise (scaled by sigma_y), and mask or kernels where the operator has them.

    They are computed in float64 and returned in float32. Noise, mask and kernel of an image depend on (task, image id)
    alone; y and noise are zero where nothing was measured. Raises ValueError where A(x_true) is not finite.
    """
    ids, x_true = image_id.tolist(), x_true.double()
    numbers = problem.draw_noise(Rng(("noise", task), ids), 1, x_true)
    shape = problem.uniform_shape
    uniform = Rng(("mask", task), ids).rand(shape) if shape else None
    measured = problem.measure(x_true, numbers, uniform)
    if not measured.isfinite().all():
        raise ValueError(f"{type(problem.operator).__name__}: A(x) has NaN or infinity")
    noise = problem.noise_at(problem.operator(x_true, measured), numbers)
    y, mask = problem.unpack(measured)
    parts = {"x_true": x_true, "y": y, "noise": noise if mask is None else mask * noise}
    if mask is not None:
        parts["mask"] = mask
    if isinstance(problem.operator, HasKernels):
        parts["kernels"] = kernel_of(measured, problem.operator.kernel_size)
    if isinstance(problem.operator, HasPicture):
        parts["picture"] = problem.operator.picture(measured)
    return {name: part.float() for name, part in (parts | stored_of(problem)).items()}


def stored_of(problem: InverseProblem | Reward) -> dict[str, Tensor]:
    """Return the tensors that the operator stores once for all measurements, such as a kernel; {} for none."""
    operator = getattr(problem, "operator", None)
    return operator.stored() if operator is not None and hasattr(operator, "stored") else {}


def first_measurements(
    everything: dict[str, Tensor], num_measurements: int, shared: Container[str]
) -> dict[str, Tensor]:
    """Return the rows of the first test images; tensors named in `shared`, such as a kernel, are kept whole."""
    rows = everything["is_test"].nonzero().flatten()[:num_measurements]
    return {
        name: part if name in shared else part[rows]
        for name, part in everything.items()
        if name != "is_test"
    }


def _perplexity(
    spec: TaskSpec, problem: InverseProblem | Reward, measurements: dict[str, Tensor]
) -> Json:
    """Return the effective number of mixture components or atoms in each posterior, None where there is no formula."""
    posterior = posterior_of(load_prior(spec.layout.prior(spec.prior, spec.family)), problem)
    perplexity = posterior.perplexity(packed(measurements).double())
    of = posterior.perplexity_of
    return {
        "posterior_perplexity": None if perplexity is None else perplexity.tolist(),
        "perplexity_of": of,
    }


def _write(path: Path, tensors: dict[str, Tensor], header: Json) -> None:
    made = {"observations_sha256": content_hash(tensors), "provenance": provenance()}
    write_tensors(path, tensors, header | made)


if __name__ == "__main__":
    run(main, failed=write_failed)
