"""Every data set in its folder passes the checks of its kind; a new file is checked without any edit here."""

from pathlib import Path

import pytest

from bench.conformance import check
from bench.core.registry import find, load, names


@pytest.mark.parametrize("name", names("dataset"))
def test_every_dataset_conforms(name):
    path = find("dataset", name)
    assert path is not None
    tiny = getattr(load("dataset", name), "tiny", {})
    if not callable(tiny) and not Path(tiny.get("path", ".")).is_dir():
        pytest.skip(f"needs the files of {name}")
    results = check(path, "dataset")
    assert not [str(result) for result in results if result.status == "FAIL"]
    assert sum(result.status == "ok" for result in results) > 5
