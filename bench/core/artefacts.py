"""Read and write artefacts: atomically, with provenance, and with a hash that shows when one was edited.

safetensors carry header and hash inside, JSON files a `sha256` key, and a csv has both in `<name>.csv.info.json`. That
record also lists the hashes of pages and pictures that belong to the csv; a page without a csv has a record of its own.
No import of torch here: the workflow checks artefacts at each start.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import struct
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from bench.core.artefact_errors import ArtefactError, Unwritable, broken, of_record, unreadable
from bench.core.errors import Broken
from bench.core.nested import parsed_json
from bench.core.taken_over import refusing_writes_when, why_not_to_write

Json = dict[str, Any]
BYTES_AT_ONCE = 2**24
LARGEST_IN_MEMORY = 2**28  # bytes of a file of tensors that is read as a whole
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
UNWRITABLE = (*FULL, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EIO)
DTYPES = {"<f4": "F32", "<f8": "F64", "<i8": "I64", "|u1": "U8", "|b1": "BOOL"}  # in safetensors


@contextlib.contextmanager
def written_only_while(path: str | Path) -> Iterator[None]:
    """Refuse writes inside the block once the file at `path`, a job's spec, has changed: another run has taken over."""
    spec, content = Path(path).absolute(), _bytes(path)

    def why() -> str:
        is_same = spec.exists() and spec.read_bytes() == content
        return "" if is_same else f"its spec {spec.name} has changed meanwhile"

    with refusing_writes_when(why):
        yield


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write to a temporary name in the same folder, then rename, so that nobody reads half a file."""
    _write(path, [data])


def write_tensors(path: str | Path, tensors: dict, header: Json) -> None:
    """Write arrays (numpy or torch) with a header of JSON values; equal content gives equal bytes."""
    import numpy as np
    from safetensors.numpy import save

    arrays = {name: np.asarray(_array(value), order="C") for name, value in tensors.items()}
    index, data = _split(save(arrays))
    metadata = _metadata(header)
    metadata["sha256"] = _digest(metadata, index, [data])
    _write(path, [_head(metadata, index), data])


def write_blocks(path: str | Path, blocks: Iterable[Mapping], header: Callable[[], Json]) -> None:
    """Write arrays that are too large for memory, from blocks of their rows; `read_tensors` reads the file.

    blocks: arrays (n, ...) by name, which are joined along their first axis. All blocks of one name come before those
    of the next, except arrays of one axis (ids, labels), which are kept in memory. header: called after the last block.
    """
    path = Path(path)
    with _writing(path, FULL), _spool_beside(path) as spool:
        index = _spooled(blocks, spool)
        metadata = _metadata(header())

        def data() -> Iterator[bytes]:
            spool.seek(0)
            return iter(partial(spool.read, BYTES_AT_ONCE), b"")

        metadata["sha256"] = _digest(metadata, index, data())
        _write(path, itertools.chain([_head(metadata, index)], data()))


def write_broken(
    path: str | Path, reason: str, header: Json, tensors: Mapping[str, Any] | None = None
) -> None:
    """Write a file in place of a part that could not be made; reading it raises Broken with the reason.

    tensors: what pictures show instead.
    """
    write_tensors(path, dict(tensors or {}), header | {"broken": reason})


def read_header(path: str | Path) -> Json:
    """Return the header of a safetensors file, JSON values decoded, after its hash was checked."""
    return {k: _decoded(v) for k, v in _checked(path).items()}


def read_tensors(path: str | Path, *, broken_too: bool = False) -> tuple[dict, Json]:
    """Return torch tensors and header of a safetensors file, after its hash was checked.

    Raises Broken for a file that `write_broken` wrote, unless broken_too. Tensors of a large file are views of it, read
    from disk when they are used, so that they need not fit into memory.
    """
    from safetensors.torch import load, load_file

    header = read_header(path)
    if "broken" in header and not broken_too:
        raise Broken(header["broken"])
    if os.path.getsize(path) > LARGEST_IN_MEMORY:
        return load_file(path), header
    return load(_bytes(path)), header


def write_json(path: str | Path, content: Json) -> None:
    """Write a JSON file with its hash under `sha256`."""
    body = _valid({k: v for k, v in content.items() if k != "sha256"})
    body = json.loads(json.dumps(body))  # tuples become lists, as on reading
    write_bytes(
        path, (json.dumps({**body, "sha256": _json_digest(body)}, indent=1) + "\n").encode()
    )


def read_json(path: str | Path) -> Json:
    """Return the content of a JSON file, its `sha256` included, after its hash was checked."""
    text = _bytes(path)
    try:
        content = parsed_json(text)
    except ValueError:
        raise broken(path, "is not valid JSON") from None
    if not isinstance(content, dict) or not text.endswith(b"\n"):
        raise broken(path, "was not written by this harness")
    if content.get("sha256") != _json_digest({k: v for k, v in content.items() if k != "sha256"}):
        raise broken(path, "does not match its recorded sha256")
    return content


def write_csv(
    path: str | Path, text: str, info: Json, files: Mapping[str, bytes] | None = None
) -> None:
    """Write a csv and its `.info.json`, and the files beside it that belong to it, by name.

    The csv is written last, so that a kill in between never leaves a csv without its record.
    """
    write_recorded(path, _valid(text).encode(), info, files)


def write_recorded(
    path: str | Path, data: bytes, info: Json, files: Mapping[str, bytes] | None = None
) -> None:
    """Write a file of any kind and its record, as `write_csv` writes a csv."""
    path = Path(path)
    path.unlink(missing_ok=True)
    for name, content in (files or {}).items():
        write_bytes(path.with_name(name), content)
    listed = {name: _sha256(content) for name, content in (files or {}).items()}
    record = {**info, "file_sha256": _sha256(data)} | ({"files": listed} if listed else {})
    write_json(_info_path(path), record)
    write_bytes(path, data)


def read_csv(path: str | Path) -> tuple[str, Json]:
    """Return text and `.info.json` of a csv, after its hash was checked."""
    data, info = _recorded(path)
    return data.decode(), info


def check_recorded(path: str | Path) -> None:
    """Raise ArtefactError when a file with a record, or one of those listed there, is truncated, edited or gone."""
    _, info = _recorded(path)
    for name, expected in info.get("files", {}).items():
        listed = Path(path).with_name(name)
        if _sha256(_bytes(listed)) != expected:
            raise broken(listed, f"does not match the sha256 in {_info_path(path).name}")


def check(path: str | Path) -> None:
    """Raise ArtefactError when a safetensors, csv or json artefact is truncated or edited."""
    read_facts(path)


def read_facts(path: str | Path) -> Json:
    """Return what a safetensors, csv or json artefact says of itself, after its hash was checked."""
    suffix = Path(path).suffix
    if suffix == ".csv":
        return read_csv(path)[1]
    return {".safetensors": read_header, ".json": read_json}[suffix](path)


def _checked(path: str | Path) -> dict[str, str]:
    """Return the metadata of a safetensors file, after its hash was checked."""
    try:
        with open(path, "rb") as file:
            index = parsed_json(_index_bytes(file))
            metadata = index.pop("__metadata__", {})
            recorded = metadata.get("sha256")
            good = recorded == _digest(
                metadata, index, iter(partial(file.read, BYTES_AT_ONCE), b"")
            )
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, struct.error, AttributeError, TypeError):
        raise broken(path, "is truncated or not a safetensors file") from None
    if recorded is None:
        raise broken(path, "has no sha256 in its header (not written by this harness)")
    if not good:
        raise broken(path, "does not match the sha256 in its header")
    return metadata


def _index_bytes(file: BinaryIO) -> bytes:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > os.fstat(file.fileno()).st_size:
        raise ValueError("the file ends before its index does")
    return file.read(length)


def _split(raw: bytes) -> tuple[Json, memoryview]:
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), memoryview(raw)[8 + length :]


def _spooled(blocks: Iterable[Mapping], spool: BinaryIO) -> Json:
    """Append the rows of all blocks to a file; return the index of what is in it."""
    import numpy as np

    index, short = {}, {}
    for block in blocks:
        for name, value in block.items():
            rows = np.asarray(_array(value), order="C")
            if rows.ndim == 1:
                short.setdefault(name, []).append(rows)
            else:
                _append(index, spool, name, rows)
    for name, parts in short.items():
        _append(index, spool, name, np.concatenate(parts))
    return index


def _append(index: Json, spool: BinaryIO, name: str, rows: Any) -> None:
    start = spool.tell()
    entry = index.setdefault(
        name,
        {
            "dtype": DTYPES[rows.dtype.str],
            "shape": [0, *rows.shape[1:]],
            "data_offsets": [start, start],
        },
    )
    if entry["data_offsets"][1] != start:
        raise ValueError(f"blocks of {name} do not follow each other")
    spool.write(rows.data)
    entry["shape"][0] += len(rows)
    entry["data_offsets"][1] = spool.tell()


def _array(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def _valid(value: Any) -> Any:
    """Return text, also inside lists and mappings, with lone surrogates escaped, which UTF-8 cannot encode."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_valid(key): _valid(part) for key, part in value.items()}
    return [_valid(part) for part in value] if isinstance(value, (list, tuple)) else value


def _metadata(header: Json) -> dict[str, str]:
    header = _valid(header)
    # a string is stored as it is unless it would be read back as another value ("1", "null")
    plain = {k: v for k, v in header.items() if isinstance(v, str) and _decoded(v) == v}
    return {k: plain[k] if k in plain else json.dumps(v, sort_keys=True) for k, v in header.items()}


def _head(metadata: dict[str, str], index: Json) -> bytes:
    text = json.dumps({"__metadata__": dict(sorted(metadata.items())), **index}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _digest(metadata: dict[str, str], index: Json, data: Iterable[bytes | memoryview]) -> str:
    head = json.dumps([{k: v for k, v in metadata.items() if k != "sha256"}, index], sort_keys=True)
    digest = hashlib.sha256(head.encode())
    for part in data:
        digest.update(part)
    return digest.hexdigest()


def _recorded(path: str | Path) -> tuple[bytes, Json]:
    """Return a file and its record, after its hash was checked."""
    data, record = _bytes(path), _info_path(path)
    try:
        info = read_json(record)
    except ArtefactError as error:
        raise of_record(error, path) from None
    if _sha256(data) != info["file_sha256"]:
        raise broken(path, "does not match the sha256 in its .info.json")
    return data, info


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: str | Path, parts: Iterable[bytes | memoryview]) -> None:
    with _writing(path):
        _write_atomically(Path(path), parts)


@contextlib.contextmanager
def _writing(path: str | Path, errors: Container[int] = UNWRITABLE) -> Iterator[None]:
    """Turn an OSError inside the block into an ArtefactError, one line; errors: the errno values that are turned."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in errors:
            raise
        if error.errno == errno.EISDIR:
            raise unreadable(path, error) from None
        what = f"cannot be written ({os.strerror(error.errno).lower()})"
        raise Unwritable(f"{path}: {what}; mend that and run the same command again") from None


def _spool_beside(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=path.parent)


def _write_atomically(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.writelines(parts)
        os.chmod(temporary, 0o666 & ~_umask())
        if reason := why_not_to_write():
            raise ArtefactError(f"{path}: not written, since {reason}; run the same command again")
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Return the user's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _json_digest(body: Json) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


def _info_path(path: str | Path) -> Path:
    return Path(f"{path}.info.json")


def _decoded(value: str) -> Any:
    try:
        return parsed_json(value)
    except ValueError:
        return value
