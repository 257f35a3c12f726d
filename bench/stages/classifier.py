"""`python -m bench.stages.classifier specs/classifiers/<classifier>.json`: train a classifier, and write its card.

It is the classifier of a reward, or the network of a data set that metrics use (bench/problems/convnet.py).
"""

from __future__ import annotations

import dataclasses
import time
from functools import partial

import torch
from torch import Tensor

from bench.core.artefacts import (
    ArtefactError,
    Json,
    read_tensors,
    write_broken,
    write_bytes,
    write_json,
    write_tensors,
)
from bench.core.catalogue import dataset_of, is_convnet
from bench.core.provenance import provenance
from bench.core.retries import note_failure
from bench.core.rng import Rng
from bench.core.specs import ClassifierSpec
from bench.numerics.frechet import BLOCK, frechet_in_blocks, moments
from bench.problems import convnet
from bench.problems.classifier import Classifier, RealFeatures, definition_of, tensors_of, trained
from bench.problems.convnet import labels_of
from bench.problems.vgg import NARROW, PUBLISHED, opened
from bench.problems.wrapped_reward import KEPT, is_wrapped, source_of
from bench.runtime.containment import Ending
from bench.runtime.job import run
from bench.runtime.progress import progress

PARTS = ("train", "validation", "test")


def main(spec_path: str) -> None:
    """Train the classifier that a spec names."""
    spec = ClassifierSpec.read(spec_path)
    name, dataset = spec.classifier, dataset_of(spec.classifier)
    data, data_header = read_tensors(spec.layout.data(dataset))
    begin, path = time.perf_counter(), spec.layout.classifier(name)
    if is_wrapped(name):
        write_bytes(path.with_name(KEPT), source_of(name).read_bytes())
    rng = Rng(("classifier", name), (0,), dtype=torch.float32)
    tensors, definition, card = (
        on_any_images(data, rng) if is_convnet(name) else with_labels(name, data, rng)
    )
    facts = {"classifier": name, "dataset": dataset, "data_sha256": data_header["sha256"]}
    facts |= {"definition": definition, "provenance": provenance()}
    seconds = {"seconds": time.perf_counter() - begin}
    write_json(path.with_name("card.json"), facts | card | seconds)
    write_tensors(path, tensors, facts)


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write why there is no classifier; the next run tries again."""
    spec = ClassifierSpec.read(spec_path)
    path, reason = spec.layout.classifier(spec.classifier), ending.reason
    if not ending.is_inherited:
        reason = f"classifier {spec.classifier}: {reason}"
    write_json(path.with_name("card.json"), {"classifier": spec.classifier, "broken": reason})
    write_broken(path, reason, {"classifier": spec.classifier, "provenance": provenance()})
    note_failure(path, reason, ending.is_passing)


def with_labels(
    name: str, data: dict[str, Tensor], rng: Rng
) -> tuple[dict[str, Tensor], Json, Json]:
    """Return tensors, definition and card of a classifier by labels."""
    definition = dataclasses.asdict(definition_of(name))
    if is_wrapped(name):  # its file is its definition
        text = source_of(name).read_text()
        return {"none": torch.zeros(1)}, definition | {"file": text}, {}
    if name in (PUBLISHED, NARROW):
        classifier, weights = opened(name)
        definition |= {"weights": weights}
    else:
        classifier = trained(definition_of(name), data["train"], data["train_label"], rng)
    classifier = dataclasses.replace(classifier, real=real_features(classifier, data))
    return tensors_of(classifier), definition, quality(classifier, data)


def on_any_images(data: dict[str, Tensor], rng: Rng) -> tuple[dict[str, Tensor], Json, Json]:
    """Return tensors, definition and card of a network for images with or without labels."""
    x, labels, num_steps = data["train"], labels_of(data, "train"), convnet.DEFINITION.num_steps
    steps = partial(progress, total=num_steps, what="network of the data set")
    network = convnet.trained(x, labels, rng, num_steps, steps)
    parts = [part for part in PARTS if len(data[part])]
    told = {part: convnet.accuracy(network, data[part], labels_of(data, part)) for part in parts}
    num = convnet.num_told(tuple(x.shape[1:]), labels)
    card = {"tells": "rotations" if labels is None else "labels", "number_of_labels": num}
    return network.weights, dataclasses.asdict(convnet.DEFINITION), card | {"accuracy": told}


def real_features(classifier: Classifier, data: dict[str, Tensor]) -> RealFeatures:
    """Return the moments of each class in held-out images, and the distance of training images to them."""
    held_out, labels = (
        torch.cat([data[f"test{what}"], data[f"validation{what}"]]) for what in ("", "_label")
    )
    rows = []
    for k in range(classifier.num_classes):
        of_class, trained_on = held_out[labels == k], data["train"][data["train_label"] == k]
        mean, covariance = moments(classifier.features(of_class.double()))
        floor = frechet_in_blocks(
            classifier.features(trained_on.double())[None], mean[None], covariance[None]
        )
        rows.append((mean, covariance, floor[0]))
    return RealFeatures(*map(torch.stack, zip(*rows, strict=True)))


def quality(classifier: Classifier, data: dict[str, Tensor]) -> Json:
    """Return the accuracy and mean log p(class | x) on each part, and the floor of Frechet distances by class."""
    assert classifier.real is not None
    log_probs = {part: classifier.log_probs(data[part]) for part in PARTS}
    labels = {part: data[f"{part}_label"] for part in PARTS}
    of_truth = {part: log_probs[part].gather(1, labels[part][:, None]) for part in PARTS}
    return {
        "accuracy": {
            part: (log_probs[part].argmax(1) == labels[part]).double().mean().item()
            for part in PARTS
        },
        "log_prob_of_true_class": {part: of_truth[part].mean().item() for part in PARTS},
        "num_held_out": torch.cat([labels["test"], labels["validation"]]).bincount().tolist(),
        f"frechet_floor_n{BLOCK}": classifier.real.floor.tolist(),
    }


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main, failed=write_failed, refuses=(ArtefactError,))
