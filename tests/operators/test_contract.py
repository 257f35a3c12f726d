"""Every operator in its folder passes the checks of its kind; a new file is checked without any edit here."""

import pytest

from bench.conformance import check
from bench.core.registry import find, names


@pytest.mark.parametrize("name", names("operator"))
def test_every_operator_conforms(name):
    path = find("operator", name)
    assert path is not None
    results = check(path, "operator")
    assert not [str(result) for result in results if result.status == "FAIL"]
    assert sum(result.status == "ok" for result in results) > 5
