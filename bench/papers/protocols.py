"""Write protocols as texts by aspect: two protocols are the same if all their texts are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.papers.published import NONE, UNKNOWN, PublishedNumber, parameters_of

# compared in this order
ASPECTS = ("dataset", "operator", "sigma_y", "prior", "method", "N", "NFE")
WEIGHTS = (".pt", ".pth", ".pkl", ".safetensors")  # endings of files of weights
# names here of public models whose file has another name
OUR_NAMES = {
    "cfm_cifar10_weights_step_400000": "icfm_cifar10",
    "256x256_diffusion_uncond": "imagenet256",
}
# rewards that a suite here has only with a file that the user provides
OUR_OPERATORS = {
    "text (beta 100, reward ImageReward-v1.0)": "class (beta 100, classifier ffhq-wrapped)"
}

Protocol = Mapping[str, str]  # aspect -> text


def protocol_of_number(number: PublishedNumber) -> Protocol:
    """Return the protocol of a published number, written like those of the suite."""
    is_known = number.checkpoint not in (UNKNOWN, NONE)
    side = int(number.side) if number.side.isdecimal() else None
    return {
        "dataset": format_images(number.dataset, side),
        "operator": format_operator(number.operator, parameters_of(number)),
        "sigma_y": format_number(number.sigma_y),
        "prior": name_of_weights(number.checkpoint)
        if is_known
        else f"{number.prior} (weights {number.checkpoint})",
        "method": number.module or number.method,
        "N": number.num_images,
        "NFE": format_number(number.nfe),
    }


def format_images(dataset: str, height: int | None, width: int | None = None) -> str:
    """Return `digits 8 x 8`, or the name alone if the size is unknown."""
    return dataset if height is None else f"{dataset} {height} x {width or height}"


def format_prior(pipeline: str | None, family: str, dataset: str) -> str:
    """Return the name of the prior's weights if the suite does not make them, else its family and data set."""
    return name_of_weights(pipeline) if pipeline else f"{family} of {dataset}"


def name_of_weights(name: str) -> str:
    """Return `ffhq_10m` of `ffhq_10m.pt`, of a folder `.../ffhq_10m`, and of an id `owner/ffhq_10m`.

    Public models have the names that `posterior-bench weights` gives them.
    """
    last = Path(name).name
    last = Path(last).stem if Path(last).suffix in WEIGHTS else last
    return OUR_NAMES.get(last, last)


def format_operator(name: str, parameters: Mapping[str, Any]) -> str:
    """Return `blur (kernel_size 61, std 3)`."""
    listed = ", ".join(f"{key} {format_number(value)}" for key, value in sorted(parameters.items()))
    text = f"{name} ({listed})" if listed else name
    return OUR_OPERATORS.get(text, text)


def format_number(value: Any) -> str:
    """Return a number in its shortest form, so that 3, 3.0 and "3.00" are the same, and other text unchanged."""
    try:
        return f"{float(value):g}" if not isinstance(value, bool) else str(value).lower()
    except (TypeError, ValueError):
        return str(value)
