"""Diffusion and consistency models in the diffusers folder format: one loader for hub ids and local folders.

A folder holds model_index.json, scheduler/scheduler_config.json, unet/config.json and
unet/diffusion_pytorch_model.safetensors; older folders have the parts next to the index. Pickled weights are never
read.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.core.artefacts import write_bytes
from bench.core.errors import UserError, printable
from bench.core.nested import parsed_json
from bench.core.values import is_count
from bench.priors._networks import frozen

WEIGHTS = "diffusion_pytorch_model.safetensors"
PARTS = {"unet": ("config.json", WEIGHTS), "scheduler": ("scheduler_config.json",)}
OTHER_NAMES = {"unet": "model"}  # names of the parts in some folders, such as those of score-SDE
LFS = b"version https://git-lfs"
CONSISTENCY, EDM = "CMStochasticIterativeScheduler", "EDMEulerScheduler"
BROKEN = (
    "is the broken conversion of the ImageNet-64 consistency model: it lacks the normalisation of the middle attention "
    "(attn_norm_num_groups); take the safetensors of openai/diffusers-cd_imagenet64_l2, or OpenAI's own .pt with "
    "family openai_consistency"
)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A `UNet2DModel` with a diffusers scheduler. label: the class that a class-conditional network draws."""

    unet: Any  # diffusers' class, an nn.Module; its config is known at run time only
    scheduler: Any
    label: int | None = None

    def __post_init__(self) -> None:
        num_classes = self.unet.config.num_class_embeds
        if num_classes is None and self.label is not None:
            raise UserError(
                f"label is {self.label}, but the network knows no classes; leave label out"
            )
        fits = type(self.label) is int and self.label in range(num_classes or 0)
        if num_classes is not None and not fits:
            raise UserError(
                f"label is {self.label}; the network is class-conditional: 0 to {num_classes - 1}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.unet.config.in_channels, height, width

    @property
    def kind(self) -> str:
        """Return the name of the scheduler's class, which tells what the network predicts."""
        return type(self.scheduler).__name__

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        """Call the network, float32: x (n, *x), t () or (n,) -> (n, *x), without a learned variance's channels."""
        labels = None if self.label is None else torch.full((len(x),), self.label, device=x.device)
        return self.unet(x, t, class_labels=labels, return_dict=False)[0][:, : x.shape[1]]


def open_pipeline(
    source: str | Path, label: int | None = None, local_files_only: bool = True
) -> Pipeline:
    """Open a pipeline in a local folder or of a hub id, from the hub's cache unless local_files_only is False.

    Raises UserError, one line, naming the file that is missing or the component that is not understood.
    """
    local = Path(source).expanduser()
    folder = local if local.is_dir() else _from_hub(str(source), local_files_only)
    parts = _parts_of(folder, source)
    config = _read_config(parts["scheduler"] / "scheduler_config.json")
    scheduler = _open_scheduler(parts["scheduler"], config, str(source))
    _refuse_broken(_read_config(parts["unet"] / "config.json"), config, str(source))
    unet = _open_unet(parts["unet"], str(source))
    _refuse_other_shapes(unet.config, str(source))
    return Pipeline(frozen(unet.float()), scheduler, label)


def _open_scheduler(folder: Path, config: Mapping[str, Any], source: str) -> Any:
    """Return the scheduler of a config; UserError, one line, for a class or settings that diffusers does not know."""
    import diffusers
    from diffusers.schedulers.scheduling_utils import SchedulerMixin

    name = str(config.get("_class_name", "(none named under _class_name)"))
    scheduler = getattr(diffusers, name, None)
    if not isinstance(scheduler, type) or not issubclass(scheduler, SchedulerMixin):
        raise UserError(
            f"{source}: diffusers {diffusers.__version__} has no scheduler {printable(name)}"
        )
    try:
        return scheduler.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of diffusers and torch, whatever the settings lead to
        what = " ".join(str(error).split())[:200]
        raise UserError(f"{source}: no {name} has the settings of its config ({what})") from None


def _refuse_other_shapes(config: Any, source: str) -> None:
    """Raise UserError, one line, unless a network of that config makes images of a known size from images like them."""
    size, channels, out = config.sample_size, config.in_channels, config.out_channels
    if not all(is_count(side) for side in ([size] if isinstance(size, int) else size or [None])):
        raise UserError(
            f"{source}: sample_size in the network's config is {printable(repr(size))}; write the pixels along a side "
            "there"
        )
    if out not in (channels, 2 * channels):
        raise UserError(
            f"{source}: the network makes {out} channels of {channels}; expected as many, or twice as many where it "
            "learned a variance"
        )


def _open_unet(folder: Path, source: str) -> Any:
    """Return the network; raise UserError, one line, if the file is broken or has other weights than the config says.

    diffusers alone would only warn, leave missing weights random and drop those that have no place.
    """
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.utils import logging

    told = logging.get_verbosity()
    logging.set_verbosity_error()  # its warnings are errors below
    try:
        # the constructor draws weights, which are then read from the file
        with torch.random.fork_rng(devices=[]):
            opened: Any = UNet2DModel.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
                output_loading_info=True,
                variant=_variant_in(folder),
            )
    except Exception as error:  # many kinds, of diffusers, safetensors and torch
        what = " ".join(str(error).split())[:200]
        raise UserError(f"{source}: {WEIGHTS} is broken or is not the config's ({what})") from None
    finally:
        logging.set_verbosity(told)
    unet, info = opened
    names = unet.state_dict().keys()
    missing, unexpected = info["missing_keys"], info["unexpected_keys"]
    refuse_other_names(names, [*(n for n in names if n not in missing), *unexpected], source)
    refuse_odd_numbers(unet.state_dict(), source)
    return unet


def refuse_other_names(expected: Iterable[str], found: Iterable[str], source: str) -> None:
    """Raise UserError, one line, unless the names of weights are exactly the expected ones."""
    wanted, there = dict.fromkeys(expected), dict.fromkeys(found)
    faults = {
        "missing": [name for name in wanted if name not in there],
        "unexpected": [name for name in there if name not in wanted],
    }
    lines = [
        f"{what} {', '.join(map(printable, names[:3]))}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for what, names in faults.items()
        if names
    ]
    if not lines:
        return
    differing = [name for names in faults.values() for name in names]
    is_known = all(name.startswith("mid_block.attentions.0.group_norm.") for name in differing)
    known = f", which {BROKEN}" if is_known else ""
    raise UserError(
        f"{source}: holds other weights than its architecture: {'; '.join(lines)}{known}"
    )


def refuse_odd_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise UserError, one line, naming the first weights that are not finite floating-point numbers."""
    for name, weight in tensors.items():
        if not weight.is_floating_point():
            raise UserError(
                f"{source}: {name} is of {weight.dtype}, expected floating-point numbers"
            )
        if not weight.isfinite().all():
            raise UserError(f"{source}: {name} has NaN or infinity; copy the file again")


def _refuse_broken(unet: Mapping[str, Any], scheduler: Mapping[str, Any], source: str) -> None:
    """Raise UserError for a class-conditional consistency model whose middle attention is not normalised."""
    if (
        scheduler["_class_name"] == CONSISTENCY
        and unet.get("num_class_embeds")
        and unet.get("resnet_time_scale_shift") == "scale_shift"
        and not unet.get("attn_norm_num_groups")
    ):
        raise UserError(f"{source}: {BROKEN}")


def _parts_of(folder: Path, source: str | Path) -> dict[str, Path]:
    """Return the folder of each part; raise UserError if a file is missing or the pipeline has further parts."""
    index = _read_config(_existing(folder / "model_index.json"))
    for name, component in index.items():
        if (
            not name.startswith("_")
            and name not in {*PARTS, *OTHER_NAMES.values()}
            and isinstance(component, list)
            and any(component[1:2])
        ):
            raise UserError(
                f"{source}: has a {printable(name)}; expected a model of pixels, with unet and scheduler only"
            )
    parts = {}
    for name in PARTS:
        places = [folder / name, folder / OTHER_NAMES.get(name, name), folder]
        parts[name] = next(place for place in places if place.is_dir())
    for name, files in PARTS.items():
        for file in files:
            if file != WEIGHTS or not _other_weights(parts[name]):
                _existing(parts[name] / file)
    return parts


def _read_config(file: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file; raise UserError, one line, if there is none."""
    try:
        content = parsed_json(file.read_text())
    except (ValueError, OSError) as error:
        raise UserError(
            f"{file}: is not JSON ({error}); truncated, or a pointer of git-lfs?"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: holds a {type(content).__name__}, expected a mapping")
    return content


def _other_weights(folder: Path) -> list[Path]:
    """Return the weights in a folder without WEIGHTS: the index of shards, or files of another precision (fp16)."""
    if (folder / WEIGHTS).is_file():
        return []
    stem = WEIGHTS.removesuffix(".safetensors")
    return sorted(folder.glob(f"{stem}.safetensors.index.json")) or sorted(
        folder.glob(f"{stem}.*.safetensors")  # of another precision in shards, too
    )


def _variant_in(folder: Path) -> str | None:
    """Return diffusers' name of the precision (fp16) if a folder has weights in another one alone, else None."""
    others = [file.name for file in _other_weights(folder) if file.suffix == ".safetensors"]
    return others[0].split(".")[1].partition("-")[0] if others else None


def write_pipeline(folder: Path, pipeline: Pipeline) -> None:
    """Write the four files, each atomically. diffusers opens a consistency model as a `ConsistencyModelPipeline`.

    It has no class for sampling a plain EDM model, whose two parts have to be opened one by one.
    """
    from diffusers import __version__
    from diffusers.pipelines.consistency_models.pipeline_consistency_models import (
        ConsistencyModelPipeline,
    )

    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        if pipeline.kind == CONSISTENCY:
            ConsistencyModelPipeline(pipeline.unet, pipeline.scheduler).save_pretrained(made)
        else:
            pipeline.unet.save_pretrained(made / "unet")
            pipeline.scheduler.save_pretrained(made / "scheduler")
            parts = {
                "scheduler": ["diffusers", pipeline.kind],
                "unet": ["diffusers", "UNet2DModel"],
            }
            index = {"_class_name": "DiffusionPipeline", "_diffusers_version": __version__, **parts}
            (made / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
        for file in (f for f in sorted(made.rglob("*")) if f.is_file()):
            write_bytes(folder / file.relative_to(made), file.read_bytes())


def scheduler_of(name: str, settings: Mapping[str, object]) -> Any:
    """Return a diffusers scheduler by the name of its class."""
    import diffusers

    return getattr(diffusers, name)(**settings)


def _existing(file: Path) -> Path:
    if file.is_file():
        with file.open("rb") as opened:
            if opened.read(len(LFS)) == LFS:
                raise UserError(f"{file}: is a pointer of git-lfs, not the file; run git lfs pull")
        return file
    pickled = file.name == WEIGHTS and file.with_suffix(".bin").is_file()
    why = (
        "only pickled weights are there, which are not read; run posterior-bench weights convert "
        f"{file.parent}"
        if pickled
        else "is missing"
    )
    raise UserError(f"{file}: {why} (expected the diffusers format)")


def _from_hub(source: str, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download

    stem = WEIGHTS.removesuffix(".safetensors")  # in shards, too, which an index lists
    patterns = ["model_index.json", "*config.json", f"*{WEIGHTS}"]
    patterns += [f"*{stem}-*-of-*.safetensors", f"*{WEIGHTS}.index.json"]
    try:
        return Path(
            snapshot_download(source, allow_patterns=patterns, local_files_only=local_files_only)
        )
    # the hub's client has a dozen kinds of errors: no such name, no network, not in the cache
    except Exception as error:
        advice = "; set local_files_only: false to fetch it" if local_files_only else ""
        what = " ".join(str(error).split())[:200]
        raise UserError(
            f"{source}: neither a local folder nor a pipeline from the hub ({what}){advice}"
        ) from None
