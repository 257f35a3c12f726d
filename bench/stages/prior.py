"""`python -m bench.stages.prior specs/priors/<prior>.json`: fit a prior to its training data, write it and its card.

Where a prior cannot be made, for example from a checkpoint that cannot be read, a file says why: tasks on it have no
numbers, and all others go on.
"""

from __future__ import annotations

import dataclasses
import json
import time

import torch
from torch import Tensor

from bench.core.artefacts import (
    ArtefactError,
    read_header,
    read_tensors,
    write_broken,
    write_json,
    write_tensors,
)
from bench.core.errors import UserError
from bench.core.provenance import provenance
from bench.core.registry import build
from bench.core.retries import note_failure
from bench.core.rng import Rng
from bench.core.specs import PriorSpec
from bench.core.types import Prior
from bench.numerics.distances import (
    energy_distance,
    mean_distance_within,
    projected,
    sliced_wasserstein2,
)
from bench.priors import file_hashes, load_prior
from bench.runtime.containment import Ending
from bench.runtime.job import run
from bench.runtime.progress import progress
from bench.runtime.surroundings import kept_surroundings

NUM_SETS = 4  # of prior draws, and of training images for the floor
GIVEN = {"pipeline", "weights"}  # parameters of the families that open the user's network
ROWS_OF_CHECKPOINT = 2000  # network rows of all draws for the card, for such a network
NUMBERS_PER_SET = (
    2**18
)  # pixels in a set: fewer images are compared if they are large, since draws are expensive


def main(spec_path: str) -> None:
    spec = PriorSpec.read(spec_path)
    layout, family = spec.layout, build("prior", spec.family, spec.parameters)
    data, header = read_tensors(layout.data(spec.dataset))
    path = layout.prior(spec.prior, spec.family)
    facts = {key: getattr(spec, key) for key in ("prior", "family", "dataset", "parameters")}
    facts |= {"settings": dataclasses.asdict(family), "data_sha256": header["sha256"]}
    teacher = None
    if spec.teacher and spec.teacher_family:
        teacher_path = layout.prior(spec.teacher, spec.teacher_family)
        teacher = load_prior(teacher_path)
        facts |= {"teacher": spec.teacher, "teacher_family": spec.teacher_family}
        facts["teacher_sha256"] = read_header(teacher_path)["sha256"]

    # written last, so that its presence means that the files beside it are complete
    path.unlink(missing_ok=True)
    begin = time.perf_counter()
    with kept_surroundings():
        made = family.fit(data, path.parent, teacher)
    tensors, card = _fitted(made)
    card = {**facts, **card, "seconds": time.perf_counter() - begin}
    if spec.quality:
        most_rows = ROWS_OF_CHECKPOINT if GIVEN.intersection(spec.parameters) else None
        loaded = family.load(tensors, path.parent, teacher)
        card["unconditional"] = quality(loaded, data, most_rows)
    write_json(path.parent / "card.json", {**card, "provenance": provenance()})
    write_tensors(
        path, tensors, {**facts, "files": file_hashes(path.parent), "provenance": provenance()}
    )


def _fitted(made: object) -> tuple[dict[str, Tensor], dict]:
    """Return what fit() returned; UserError, one line, unless that is a dict of tensors and a card of JSON."""
    tensors, card = made if isinstance(made, tuple) and len(made) == 2 else (None, None)
    if not isinstance(tensors, dict) or not isinstance(card, dict):
        raise UserError(f"fit() returned {type(made).__name__}, expected two dicts: tensors, card")
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise UserError(
                f"fit() returned {type(value).__name__} for {name!r}, expected a tensor"
            )
    try:
        json.dumps(card)
    except (TypeError, ValueError) as error:
        raise UserError(f"fit() returned a card that is no JSON: {error}") from None
    return tensors, card


def write_failed(ending: Ending, spec_path: str) -> None:
    """Write why there is no prior; the next run tries again."""
    spec = PriorSpec.read(spec_path)
    path, reason = spec.layout.prior(spec.prior, spec.family), ending.reason
    if not ending.is_inherited:
        reason = f"prior {spec.prior}: {reason}"
    write_json(path.parent / "card.json", {"prior": spec.prior, "broken": reason})
    write_broken(path, reason, {"prior": spec.prior, "provenance": provenance()})
    note_failure(path, reason, ending.is_passing)


def quality(prior: Prior, data: dict[str, Tensor], most_rows: int | None = None) -> dict:
    """Return distances of prior draws from the test images, means over sets; `floor`: those of training images.

    most_rows: limit on network rows for all draws, which are then made set by set and report their progress.
    """
    test, rng = data["test"], Rng(("card", "unconditional"), range(NUM_SETS))
    n = min(len(test), len(data["train"]), max(8, NUMBERS_PER_SET // test[0].numel()))
    if most_rows is not None:
        n = min(n, max(8, most_rows // (NUM_SETS * max(1, prior.sample_nfe))))
    order = rng.rand((len(data["train"]),)).argsort(1)[:, :n]
    if most_rows is None:
        drawn = prior.sample(n, rng)
    else:
        sets = progress([rng.only(i) for i in range(NUM_SETS)], what="draws for the card")
        drawn = torch.cat([prior.sample(n, one) for one in sets])
    _refuse_malformed(drawn, (NUM_SETS, n, *test.shape[1:]))
    if not drawn.isfinite().all():  # else the tables would blame the methods
        raise UserError("its draws are not finite")
    training = data["train"][order]
    return {
        "num_images": n,
        "num_sets": NUM_SETS,
        **distances(drawn, test[:n]),
        "floor": distances(training, test[:n]),
    }


def _refuse_malformed(drawn: object, expected: tuple[int, ...]) -> None:
    """Raise UserError, one line, unless draws are floating-point numbers of the expected shape."""
    is_right = isinstance(drawn, Tensor) and drawn.is_floating_point()
    if not is_right or tuple(drawn.shape) != expected:
        came = f"{tuple(drawn.shape)} {drawn.dtype}" if isinstance(drawn, Tensor) else type(drawn)
        raise UserError(f"sample() returned {came}, expected {expected}, floating-point")


def distances(sets: Tensor, images: Tensor) -> dict[str, float]:
    """Return distances of sets (m, n, *x) from images (n, *x)."""
    x = sets.flatten(2).double()
    y = images.flatten(1).double().expand_as(x)
    sw2 = sliced_wasserstein2(projected(x), projected(y)).mean()
    return {
        "sw2-128": sw2.item(),
        "energy": energy_distance(x, y, mean_distance_within(y)).mean().item(),
    }


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main, failed=write_failed, refuses=(ArtefactError,))
