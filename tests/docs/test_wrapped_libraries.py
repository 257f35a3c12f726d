"""The wrapped samplers that docs/wrap-a-library.md shows conform, where their libraries are installed."""

import re
from pathlib import Path

import pytest

from bench.conformance import check

PAGE = Path(__file__).resolve().parents[2] / "docs" / "wrap-a-library.md"
FILES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize(("place", "library"), [(0, "azula"), (1, "deepinv")])
def test_a_wrapped_sampler_conforms(place, library, tmp_path):
    pytest.importorskip(library)
    path = tmp_path / f"wrapped_{library}.py"
    path.write_text(FILES[place])
    results = check(path, "method")
    assert not [str(result) for result in results if result.status == "FAIL"]
    assert sum(result.status == "ok" for result in results) > 20
