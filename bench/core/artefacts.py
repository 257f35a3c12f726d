"""Read and write artefacts: atomically, with provenance, and with a hash that shows when one was edited.

safetensors carry header and hash inside, JSON files a `sha256` key, and a csv has both in `<name>.csv.info.json`.
No import of torch here: the workflow checks artefacts at each start.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class ArtefactError(Exception):
    """An artefact is missing or broken; the message is one line: which file, what is wrong, what to do."""


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write to a temporary name in the same folder, then rename, so that nobody reads half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_tensors(path: str | Path, tensors: dict, header: Json) -> None:
    """Write arrays (numpy or torch) with a header of JSON values; equal content gives equal bytes."""
    import numpy as np
    from safetensors.numpy import save

    arrays = {
        k: v.detach().cpu().numpy() if hasattr(v, "detach") else v for k, v in tensors.items()
    }
    index, data = _split(save({k: np.asarray(v, order="C") for k, v in arrays.items()}))
    # a text stays as it is unless it would be read back as something else ("1", "null")
    plain = {k: v for k, v in header.items() if isinstance(v, str) and _decoded(v) == v}
    metadata = {
        k: plain[k] if k in plain else json.dumps(v, sort_keys=True) for k, v in header.items()
    }
    metadata["sha256"] = _digest(metadata, index, data)
    text = json.dumps({"__metadata__": dict(sorted(metadata.items())), **index}).encode()
    text += b" " * (-len(text) % 8)
    write_bytes(path, struct.pack("<Q", len(text)) + text + data)


def read_header(path: str | Path) -> Json:
    """Return the header of a safetensors file, JSON values decoded, after its hash was checked."""
    return {k: _decoded(v) for k, v in _checked(path)[0].items()}


def read_tensors(path: str | Path) -> tuple[dict, Json]:
    """Return torch tensors and header of a safetensors file, after its hash was checked."""
    from safetensors.torch import load

    metadata, raw = _checked(path)
    return load(raw), {k: _decoded(v) for k, v in metadata.items()}


def map_tensors(path: str | Path) -> dict:
    """Return the torch tensors of a safetensors file, which are read from disk as they are used; its hash is checked.

    For sets of images that may be larger than the memory. The file must not change while they are in use.
    """
    from safetensors import safe_open

    try:
        with Path(path).open("rb") as f:
            _metadata_of(path, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise _missing(path) from None
    with safe_open(path, "pt") as f:
        return {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (no mapping)


def write_json(path: str | Path, content: Json) -> None:
    """Write a JSON file with its hash under `sha256`."""
    body = {k: v for k, v in content.items() if k != "sha256"}
    body = json.loads(json.dumps(body))  # tuples become lists, as on reading
    write_bytes(
        path, (json.dumps({**body, "sha256": _json_digest(body)}, indent=1) + "\n").encode()
    )


def read_json(path: str | Path) -> Json:
    """Return the content of a JSON file, its `sha256` included, after its hash was checked."""
    text = _bytes(path)
    try:
        content = json.loads(text)
    except ValueError:
        raise _broken(path, "is not valid JSON") from None
    if not isinstance(content, dict) or not text.endswith(b"\n"):
        raise _broken(path, "was not written by this harness")
    if content.get("sha256") != _json_digest({k: v for k, v in content.items() if k != "sha256"}):
        raise _broken(path, "does not match its recorded sha256")
    return content


def write_csv(path: str | Path, text: str, info: Json) -> None:
    """Write a csv and its `.info.json`; the record goes first, so that a kill in between leaves no csv without one."""
    path = Path(path)
    path.unlink(missing_ok=True)
    write_json(_info_path(path), {**info, "file_sha256": hashlib.sha256(text.encode()).hexdigest()})
    write_bytes(path, text.encode())


def read_csv(path: str | Path) -> tuple[str, Json]:
    """Return text and `.info.json` of a csv, after its hash was checked."""
    data, info = _bytes(path), read_json(_info_path(path))
    if hashlib.sha256(data).hexdigest() != info["file_sha256"]:
        raise _broken(path, "does not match the sha256 in its .info.json")
    return data.decode(), info


def check(path: str | Path) -> None:
    """Raise ArtefactError when a safetensors, csv or json artefact is truncated or edited."""
    reader = {".safetensors": _checked, ".csv": read_csv, ".json": read_json}[Path(path).suffix]
    reader(path)


def _checked(path: str | Path) -> tuple[dict[str, str], bytes]:
    raw = _bytes(path)
    return _metadata_of(path, raw), raw


def _metadata_of(path: str | Path, raw: bytes | mmap.mmap) -> dict[str, str]:
    """Return the metadata of a safetensors file with this content, after its hash was checked."""
    try:
        index, data = _split(raw)
        metadata = index.pop("__metadata__", {})
        recorded = metadata.get("sha256")
        good = recorded == _digest(metadata, index, data)
    except (ValueError, struct.error, AttributeError, TypeError):
        raise _broken(path, "is truncated or not a safetensors file") from None
    if recorded is None:
        raise _broken(path, "has no sha256 in its header (not written by this harness)")
    if not good:
        raise _broken(path, "does not match the sha256 in its header")
    return metadata


def _split(raw: bytes | mmap.mmap) -> tuple[Json, memoryview]:
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), memoryview(raw)[8 + length :]


def _digest(metadata: dict[str, str], index: Json, data: memoryview) -> str:
    head = json.dumps([{k: v for k, v in metadata.items() if k != "sha256"}, index], sort_keys=True)
    digest = hashlib.sha256(head.encode())
    digest.update(data)
    return digest.hexdigest()


def _json_digest(body: Json) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise _missing(path) from None


def _missing(path: str | Path) -> ArtefactError:
    return ArtefactError(f"{path}: is missing; run the workflow again to make it")


def _info_path(path: str | Path) -> Path:
    return Path(f"{path}.info.json")


def _decoded(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _broken(path: str | Path, what: str) -> ArtefactError:
    return ArtefactError(
        f"{path}: {what} (truncated or edited?); delete it and run the same command again"
    )
