"""Read tensors from the files of other projects: safetensors, or pickled ones, without running code that they hold.

A pickled file may run any code when it is opened by `pickle`. `torch.load(weights_only=True)` builds tensors and plain
containers only and stops at anything else. Its result is written once, as safetensors with a card beside the file.
From then on the safetensors file is read, unless the pickled file is there with another hash than the card's.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.core.artefacts import Json, read_json, write_json
from bench.core.errors import UserError, printable

PICKLED = (".pt", ".pth", ".bin", ".ckpt")


def foreign_tensors(
    path: str | Path, entry: str = "", about: Json | None = None
) -> tuple[dict[str, Tensor], Json]:
    """Return the tensors of a file by name, and its card; pickled ones are converted first.

    entry: the key under which a pickled file holds them, where it holds other things too. about: origin and licence,
    for the card. Raises UserError, one line, for a file that is missing, broken, or holds more than tensors.
    """
    path = Path(path)
    if path.suffix in PICKLED:
        path = converted(path, entry, about)
    elif path.suffix != ".safetensors":
        raise UserError(f"{path}: expected a file of weights, {', '.join(PICKLED)} or .safetensors")
    tensors = safe_tensors(path)
    if not card_path(path).is_file():
        return tensors, _card(path, path, tensors, about)
    card = read_json(card_path(path))
    if card["safetensors_sha256"] != digest(path):
        raise UserError(f"{path}: is not what its card {card_path(path).name} says; delete both")
    return tensors, card


def safe_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; UserError, one line, where it is missing or no valid one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"{path}: is missing")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: is truncated or no safetensors file ({_line(error)})") from None


def converted(path: Path, entry: str = "", about: Json | None = None) -> Path:
    """Return the path of the safetensors file made from a pickled one; write it where there is none yet."""
    target, card = path.with_suffix(".safetensors"), card_path(path)
    if target.is_file() and card.is_file():
        known = read_json(card)
        if not path.is_file() or known.get("pickled_sha256") == digest(path):
            return target
    if not path.is_file():
        raise UserError(f"{path}: is missing")
    tensors = _entry(unpickled_tensors(path), entry, path)
    try:
        write_safetensors(target, tensors)
        write_json(card, _card(path, target, tensors, about))
    # of sparse tensors ValueError, of quantised ones KeyError
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(
            f"{target}: cannot be written ({_line(error)}); copy {path.name} elsewhere"
        ) from None
    return target


def unpickled_tensors(path: Path) -> Mapping[Any, Any]:
    """Return what a pickled file holds, tensors and plain containers; UserError, one line, for anything else."""
    import torch

    try:
        _refuse_damaged(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a truncated, hostile or foreign file raises a dozen kinds
        raise UserError(
            f"{path}: is truncated, or holds more than tensors, which is not read ({_line(error)})"
        ) from None
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__}; expected weights by name")
    return content


def _refuse_damaged(path: Path) -> None:
    """Raise ValueError where a part of a zip file does not match its checksum, which torch.load does not check."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} does not match its checksum; copy the file again")


def _entry(content: Mapping[Any, Any], entry: str, path: Path) -> dict[str, Tensor]:
    """Return the tensors in a mapping, or below one of its keys; names lose the `module.` of parallel training."""
    if entry and isinstance(content.get(entry), Mapping):
        content = content[entry]
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others or not content:
        found = f"also {', '.join(others[:3])}" if others else "nothing"
        raise UserError(f"{path}: expected tensors by name, found {found}")
    named = {str(name).removeprefix("module."): value for name, value in content.items()}
    if len(named) < len(content):
        raise UserError(
            f"{path}: holds the same weights with and without `module.` before their names"
        )
    return named


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors atomically."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        save_file(own, temporary, metadata={"format": "pt"})
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def card_path(path: Path) -> Path:
    """Return where the card of a file of weights lies: `net.card.json` for `net.pt` and `net.safetensors`."""
    return path.with_suffix(".card.json")


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card(source: Path, target: Path, tensors: Mapping[str, Tensor], about: Json | None) -> Json:
    card: Json = {"source": source.name, "licence": "unknown"} | (about or {})
    if source != target:
        card["pickled_sha256"] = digest(source)
    return card | {
        "safetensors_sha256": digest(target),
        "num_tensors": len(tensors),
        "num_numbers": sum(tensor.numel() for tensor in tensors.values()),
    }


def _line(error: Exception) -> str:
    """Return an error's message in one line, without torch's advice on how to run the code in a file."""
    text = " ".join(str(error).split()) or type(error).__name__
    for advice in ("trusted source. ", "WeightsUnpickler error: "):
        text = text.partition(advice)[2] or text
    for advice in (" Please use", " Check the documentation"):
        text = text.partition(advice)[0]
    return printable(text)[:160]
