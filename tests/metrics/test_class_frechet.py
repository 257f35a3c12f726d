"""Samples of a class against real images of it, by a network that replaces one that the workflow trains."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from helpers.metric_values import evaluation_of, truth_of

from bench.core.metric import Context
from bench.core.rng import Rng
from bench.core.types import Cap
from bench.metrics.class_frechet import ClassFrechet
from bench.metrics.reward import RewardQuality
from bench.numerics.frechet import BLOCK, frechet_distance, moments

NAME, SHAPE, K, S = "digits-convnet-v1", (1, 2, 2), 3, 2 * BLOCK
FRECHET, FLOOR, PAIRWISE, OF_REAL = (c.id for c in ClassFrechet((NAME,)).columns(None))
COUNTS = {"train": 240, "test": 60, "validation": 60}


class Pixels:
    """A network whose features are the pixels."""

    def features(self, x):
        return x.flatten(1)


def of_classes(labels, name):
    """Return images of classes (n,): a normal law about 2 k in class k."""
    noise = Rng(("test", "class frechet", name), [0]).randn((len(labels), *SHAPE))[0]
    return 2.0 * labels[:, None, None, None] + noise


def data():
    """Return a labelled data set."""
    labels = {part: torch.arange(num) % K for part, num in COUNTS.items()}
    images = {part: of_classes(of_part, part).float() for part, of_part in labels.items()}
    return images | {f"{part}_label": of_part for part, of_part in labels.items()}


def truth(images=None, dataset="digits"):
    """Return what is known of one measurement of each class."""
    images = data() if images is None else images
    y = torch.eye(K).double()[:, None, None]
    x = torch.zeros(K, *SHAPE).double()
    problem = SimpleNamespace(caps=Cap.GRAD)
    known = truth_of(problem, x, y, x[:, None], x, x, S)
    context = Context(dataset, SHAPE, K, S, lambda name: Pixels(), lambda: images)
    return dataclasses.replace(known, context=context)


def samples(name):
    """Return S samples of each class, of the law of real images."""
    return of_classes(torch.arange(K).repeat_interleave(S), name).unflatten(0, (K, S))


def test_values_are_those_of_the_class_in_blocks():
    images, x = data(), samples("samples")
    found = ClassFrechet((NAME,)).compute(x, truth(images))
    for k in range(K):
        parts = [images[part][images[f"{part}_label"] == k] for part in ("test", "validation")]
        real = torch.cat(parts).double().flatten(1)
        blocks = [
            frechet_distance(*moments(block), *moments(real))
            for block in x[k].flatten(1).split(BLOCK)
        ]
        torch.testing.assert_close(found[FRECHET][k], torch.stack(blocks).mean())
        torch.testing.assert_close(found[OF_REAL][k], torch.pdist(real).mean())
        torch.testing.assert_close(found[PAIRWISE][k], torch.pdist(x[k].flatten(1)).mean())


def test_real_images_have_the_floor_and_other_classes_are_far():
    known, metric, x = truth(), ClassFrechet((NAME,)), samples("samples")
    right, wrong, alike = (
        metric.compute(of, known) for of in (x, x.roll(1, 0), x[:, :1].expand_as(x))
    )
    # blocks of 32 of one law: distances of four numbers scatter by less than themselves
    assert (right[FRECHET] < 3 * right[FLOOR]).all() and (right[FLOOR] < 3 * right[FRECHET]).all()
    assert (wrong[FRECHET] > 10 * right[FRECHET]).all()
    assert (alike[FRECHET] > right[FRECHET]).all() and (alike[PAIRWISE] == 0).all()


def test_without_labels_or_of_another_data_set_there_is_a_reason():
    unlabelled = {part: x for part, x in data().items() if "label" not in part}
    for known, words in (
        (truth(unlabelled), "n/a (the data set has no labels)"),
        (truth(dataset="fashion"), "n/a (digits-convnet-v1 is a network of digits)"),
    ):
        evaluation = evaluation_of(known, (ClassFrechet((NAME,)),))
        assert evaluation.why_empty == dict.fromkeys((FRECHET, FLOOR, PAIRWISE, OF_REAL), words)
        assert evaluation.metrics[0].compute(samples("samples"), known) == {}


@pytest.mark.parametrize("name", ["inception-v3-compat", "digits"])
def test_other_networks_are_refused(name):
    with pytest.raises(ValueError, match=f"no network of the workflow has the name '{name}'"):
        ClassFrechet((name,))


def test_columns_by_the_classifier_of_the_reward_name_that_of_the_data_set():
    ids = {c.id for c in RewardQuality().columns(truth(dataset="fashion").context)}
    assert f"frechet-fashion-cnn-v1-n{BLOCK}" in ids and "pairwise-fashion-cnn-v1" in ids
    for known in (None, truth().context, truth(dataset="photos").context):
        assert f"frechet-digits-cnn-v1-n{BLOCK}" in {c.id for c in RewardQuality().columns(known)}
