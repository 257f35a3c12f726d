"""The committed record of what a learned diffusion model reaches on test crops of `photos`, for cards to cite.

`python -m bench.cost learned` makes it: the network takes a minute for what a card may take a second for.
"""

from __future__ import annotations

import hashlib

from torch import Tensor

from bench.core.artefacts import ArtefactError, Json, read_json
from bench.core.errors import UserError
from bench.core.shipped import shipped

RECORD = "results/reference/cost/learned.json"
MIXTURE, LEARNED = "mfa", "edm"  # names of the two models in the record
NO_RECORD = "no learned model of these test images is recorded; python -m bench.cost learned records one of `photos`"


def images_sha256(x: Tensor) -> str:
    """Return a hash of images (N, *x) as float32."""
    return hashlib.sha256(x.float().contiguous().numpy().tobytes()).hexdigest()


def learned_model(test: Tensor) -> Json:
    """Return what the learned model reaches on the first test images (N, *x), or why nothing is known.

    Differences are from the mixture of the record, which is the default suite's.
    """
    try:
        record = read_json(shipped(RECORD))
    except (UserError, ArtefactError):
        return {"reason": NO_RECORD}
    num_images = record["num_images"]
    if images_sha256(test[:num_images]) != record["images_sha256"]:
        return {"reason": NO_RECORD}
    facts = ("checkpoint", "num_images", "num_for_bits", "limits")
    return {
        "record": RECORD,
        **{name: record[name] for name in facts},
        "num_parameters": record["num_parameters"][LEARNED],
        **record["models"][LEARNED],
        "mixture_of_record": record["models"][MIXTURE],
    }
