"""Which files a folder of images holds, so that a change there is noticed before any of them is opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_FILES = (
    100_000  # whose sizes are looked at in half a second; larger folders are taken as they were
)


def listing_of(parameters: Mapping[str, Any]) -> str:
    """Return a hash over names, sizes and times (seconds) of all files below `path`, one of a data set's parameters.

    Returns "" where there is no such folder, and for folders of more than MOST_FILES files. Hidden files are left out.
    """
    root, lines = Path(parameters["path"]).expanduser(), []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            path = os.path.join(folder, name)
            facts = os.stat(path) if os.path.exists(path) else None  # a link may lead nowhere
            told = (facts.st_size, int(facts.st_mtime)) if facts else ()
            lines.append(f"{os.path.relpath(path, root)} {told}")
        if len(lines) > MOST_FILES:
            return ""
    text = "\n".join(lines).encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()[:16] if lines else ""
