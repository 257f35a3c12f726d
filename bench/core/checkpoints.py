"""Public generative models: where their weights are, under which terms, and their sha256; `posterior-bench weights`.

Their weights lie beside those of `bench.core.weights`, in $TORCH_HOME/hub/checkpoints: a file, or a folder in the
diffusers format. Only a model that the user names is fetched, after its terms are printed.

Where many independent projects have published a file's sha256, a file with another one is refused. Elsewhere the sha256
of the first download is kept beside the file, in `<file>.sha256`, and later downloads must agree with it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.errors import UserError
from bench.core.weights import folder

OPENAI = "https://openaipublic.blob.core.windows.net"
GUIDED = f"{OPENAI}/diffusion/jul-2021"
TORCHCFM = "https://github.com/atong01/conditional-flow-matching/releases/download/1.0.4"
DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
MIT, APACHE = "MIT, as the repository", "Apache-2.0, as its card says"
IMAGENET = "; trained on ImageNet, for non-commercial research and education only"
HUB_FILES = ("model_index.json", "*config.json", "*diffusion_pytorch_model.safetensors")
HUB_PICKLED = "*diffusion_pytorch_model.bin"
WEIGHTS_ENDING = (".pt", ".bin", ".safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A public model. family: the prior that opens it; settings: that family's fields which follow from the file.

    source: an address of one file, or a hub id. file: its name here, or that of a folder for a hub id.
    """

    family: str
    source: str
    licence: str
    file: str
    settings: Mapping[str, object] = field(default_factory=dict)
    sha256: str = ""  # of a file; "" where nobody has published one
    pickled: bool = True  # otherwise safetensors

    @property
    def is_folder(self) -> bool:
        return "://" not in self.source

    @property
    def path(self) -> Path:
        return folder() / self.file


def _adm(
    source: str, licence: str, architecture: str, file: str = "", sha256: str = "", **others: object
) -> Checkpoint:
    settings = {"architecture": architecture, **others}
    return Checkpoint("adm", source, licence, file or source.rpartition("/")[2], settings, sha256)


def _consistency(name: str, architecture: str) -> Checkpoint:
    family = "openai_edm" if name.startswith("edm") else "openai_consistency"
    licence = MIT + (IMAGENET if "imagenet" in name else "; trained on LSUN")
    source = f"{OPENAI}/consistency/{name}.pt"
    return Checkpoint(family, source, licence, f"{name}.pt", {"architecture": architecture})


def _torchcfm(name: str, coupling: str) -> Checkpoint:
    file = f"{name}_cifar10_weights_step_400000.pt"
    settings = {"architecture": "torchcfm-cifar10", "coupling": coupling, "entry": "ema_model"}
    return Checkpoint("flow_matching", f"{TORCHCFM}/{file}", MIT, file, settings)


def _hub(family: str, hub_id: str, licence: str, pickled: bool) -> Checkpoint:
    return Checkpoint(family, hub_id, licence, hub_id.rpartition("/")[2], pickled=pickled)


CHECKPOINTS = {
    "ffhq_10m": _adm(
        f"{DRIVE}1BGwhRWUoguF-D8wlZ65tf227gp3cDUDh",
        "none stated; trained on FFHQ (CC BY-NC-SA 4.0), on which of its images is not known",
        "adm-ffhq-256",
        "ffhq_10m.pt",
    ),
    "imagenet256": _adm(
        f"{GUIDED}/256x256_diffusion_uncond.pt",
        MIT + IMAGENET,
        "adm-imagenet-256",
        sha256="a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1",
    ),
    "imagenet256-classes": _adm(
        f"{GUIDED}/256x256_diffusion.pt", MIT + IMAGENET, "adm-imagenet-256-classes"
    ),
    "imagenet64": _adm(
        f"{GUIDED}/64x64_diffusion.pt", MIT + IMAGENET, "adm-imagenet-64", schedule="cosine"
    ),
    "lsun_bedroom": _adm(
        f"{GUIDED}/lsun_bedroom.pt", f"{MIT}; trained on LSUN", "adm-imagenet-256"
    ),
    **{
        name.format(data): _consistency(name.format(data), architecture)
        for data, architecture in (
            ("imagenet64", "consistency-imagenet-64"),
            ("bedroom256", "consistency-lsun-256"),
            ("cat256", "consistency-lsun-256"),
        )
        for name in ("edm_{}_ema", "cd_{}_l2", "cd_{}_lpips", "ct_{}")
    },
    "icfm_cifar10": _torchcfm("cfm", "independent"),
    "fm_cifar10": _torchcfm("fm", "independent"),
    "otcfm_cifar10": _torchcfm("otcfm", "optimal_transport"),
    "ddpm-cifar10-32": _hub("edm", "google/ddpm-cifar10-32", APACHE, False),
    "ddpm-mnist": _hub("edm", "1aurent/ddpm-mnist", "MIT, as its card says", False),
    **{
        name: _hub("edm", f"google/{name}", APACHE, True)
        for name in (
            "ddpm-celebahq-256",
            "ddpm-ema-celebahq-256",
            "ddpm-bedroom-256",
            "ddpm-ema-bedroom-256",
            "ddpm-church-256",
            "ddpm-ema-church-256",
            "ddpm-cat-256",
        )
    },
    "diffusers-cd_imagenet64_l2": _hub(
        "consistency", "openai/diffusers-cd_imagenet64_l2", MIT + IMAGENET, False
    ),
    **{
        f"diffusers-{name}": _hub(
            "consistency", f"openai/diffusers-{name}", f"{MIT}; trained on LSUN", True
        )
        for name in ("cd_bedroom256_l2", "cd_bedroom256_lpips")
    },
    **{
        name: _hub("score_sde", f"google/{name}", APACHE, True)
        for name in (
            "ncsnpp-ffhq-256",
            "ncsnpp-ffhq-1024",
            "ncsnpp-celebahq-256",
            "ncsnpp-church-256",
        )
    },
}


def checkpoint(name: str) -> Checkpoint:
    """Return a public model by name; UserError, one line, for another name."""
    if name not in CHECKPOINTS:
        raise UserError(f"weights: expected one of {', '.join(CHECKPOINTS)}, got {name!r}")
    return CHECKPOINTS[name]


def place(name: str) -> Path:
    """Return the path of a public model's weights; UserError, one line, where they are absent or another file."""
    path = CHECKPOINTS[name].path
    if not path.exists() and not path.with_suffix(".safetensors").exists():
        raise UserError(
            f"{name}: weights absent; run posterior-bench weights fetch {name}, or copy them to {path} "
            f"from {CHECKPOINTS[name].source}"
        )
    if fault := _wrong_hash(name):
        raise UserError(fault)
    return path


def listing() -> str:
    """Return a line for each public model: name, family, whether it is here, terms."""
    rows = []
    for name, known in CHECKPOINTS.items():
        here = "here" if known.path.exists() else "absent"
        rows.append(f"{name:28} {known.family:20} {here:8} {known.licence}")
    return "\n".join(rows)


def check(names: Sequence[str]) -> None:
    """Print a line for each model; exit status 1 when one is missing or has another sha256 than expected."""
    faults = 0
    for name in names:
        try:
            place(name)
            pinned = "as pinned" if checkpoint(name).sha256 else "as at the first download"
            print(f"{name}: {checkpoint(name).path} is there, sha256 {pinned}")
        except UserError as error:
            print(error)
            faults += 1
    if faults:
        sys.exit(1)


def fetch(names: Sequence[str]) -> None:
    """Print the terms of each model, download what is missing, and check or record its sha256."""
    for name in names:
        known = checkpoint(name)
        print(f"{name}: licence {known.licence}", flush=True)
        if not known.path.exists():
            print(f"{known.source} -> {known.path}", flush=True)
            (_download_folder if known.is_folder else _download_file)(known)
        if fault := _wrong_hash(name):
            raise UserError(fault)
        for path in _weights_of(known):
            if not _record(path).is_file():
                _record(path).write_text(f"{_digest(path)}\n")
            print(f"{path}: sha256 {_record(path).read_text().strip()}")
        if known.is_folder and not list(known.path.rglob("*.safetensors")):
            print(f"its weights are pickled: posterior-bench weights convert {name}")


def _download_file(known: Checkpoint) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    expected = known.sha256 or _recorded(known.path)
    pin = f"sha256:{expected}" if expected else None
    try:
        pooch.retrieve(known.source, pin, known.file, folder(), progressbar=sys.stderr.isatty())
        if not expected:
            _refuse_page(known.path)
    except (OSError, ValueError) as error:  # no network; another hash
        raise _not_fetched(known, error) from None


def _download_folder(known: Checkpoint) -> None:
    """Fetch a pipeline with the hub's client, into a folder that is renamed when all files are there."""
    from huggingface_hub import snapshot_download

    partial = known.path.with_name(f".{known.file}.partial")
    patterns = [*HUB_FILES, *([HUB_PICKLED] if known.pickled else [])]
    try:
        snapshot_download(known.source, allow_patterns=patterns, local_dir=partial)
        partial.rename(known.path)
    except Exception as error:  # of the hub's client, a dozen kinds
        raise _not_fetched(known, error) from None


def _refuse_page(path: Path) -> None:
    """Delete a downloaded page of the web that came in place of weights, and raise ValueError.

    Servers send one if a file was fetched too often, or has to be confirmed; its sha256 is not to be kept.
    """
    with path.open("rb") as file:
        is_page = file.read(256).lstrip().startswith(b"<")
    if is_page:
        path.unlink()
        raise ValueError("the server sent a web page in its place")


def _not_fetched(known: Checkpoint, error: Exception) -> UserError:
    why = " ".join(str(error).split())[:200]
    return UserError(
        f"{known.file}: could not be fetched ({why}); copy it to {known.path} from {known.source}"
    )


def _wrong_hash(name: str) -> str:
    """Return what is wrong with files that are there; "" where their sha256 are as pinned or recorded."""
    known = CHECKPOINTS[name]
    for path in _weights_of(known):
        expected, found = known.sha256 or _recorded(path), _digest(path)
        if expected and found != expected:
            return (
                f"{path}: its sha256 begins with {found[:12]}, expected {expected[:12]} (truncated or another file?); "
                f"delete it and run posterior-bench weights fetch {name}"
            )
    return ""


def _weights_of(known: Checkpoint) -> Iterable[Path]:
    """Return the files of weights that were fetched: without safetensors files that we wrote, which have a card."""
    files = sorted(known.path.rglob("*")) if known.is_folder else [known.path]
    return [
        path
        for path in files
        if path.suffix in WEIGHTS_ENDING
        and path.is_file()
        and not (path.suffix == ".safetensors" and path.with_suffix(".card.json").is_file())
    ]


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _recorded(path: Path) -> str:
    record = _record(path)
    return record.read_text().strip() if record.is_file() else ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
