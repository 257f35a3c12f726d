"""The method under test, and its runs on the toy problem (see `toy.py`)."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from bench.conformance.checks import Check, NotApplicable, Refused  # noqa: F401 (for the modules of checks)
from bench.conformance.trial import Drawn, Findings, M, Trial, contained
from bench.core.registry import exported_class, name_of, package_of
from bench.core.types import Joint
from bench.runtime.run_method import declared_caps

NUM_SAMPLES = 5
JOINTS = get_args(Joint)


@dataclass(frozen=True)
class Case:
    """A method's file, the settings that differ from its defaults, and its runs, which several checks share."""

    path: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    before: set[str] = field(default_factory=set)

    @property
    def files(self) -> list[Path]:
        """Return the source of the method: its file, or all files of its package."""
        return (
            sorted(self.path.parent.rglob("*.py"))
            if self.path.name == "__init__.py"
            else [self.path]
        )

    @cached_property
    def loaded(self) -> tuple[ModuleType, Findings]:
        """Import the file under a name of its own; `before` gets the names of the modules loaded until then."""
        self.before.update(sys.modules)
        stem, findings = name_of(self.path) or self.path.stem, Findings()
        name = f"{package_of(self.path)}._conformance_{stem}"
        inside = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        spec = importlib.util.spec_from_file_location(
            name, self.path, submodule_search_locations=inside
        )
        assert spec and spec.loader, "a .py file has a loader"
        # dataclasses look up their module in sys.modules
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        with contained(findings, self.path):
            spec.loader.exec_module(module)
        return module, findings

    @property
    def module(self) -> ModuleType:
        return self.loaded[0]

    @cached_property
    def cls(self) -> type:
        return exported_class(self.module, self.path)

    @property
    def joint(self) -> str:
        return getattr(self.method, "joint", "independent")  # `joint` may be a field

    @property
    def tiny(self) -> dict[str, object]:
        return dict(getattr(self.cls, "tiny", {}))

    @cached_property
    def method(self) -> Any:
        """Return the method with its defaults, those in `tiny` replaced, and with the settings under test."""
        return dataclasses.replace(self.cls(), **self.tiny, **self.settings)

    @cached_property
    def trial(self) -> Trial:
        # a chain method gets two states of each chain
        num_samples = 2 * self.method.num_chains if self.joint == "chain" else NUM_SAMPLES
        return Trial(self.method, self.path, num_samples, declared_caps(self.method))

    @cached_property
    def base(self) -> Drawn:
        """Draw the samples with which all others are compared."""
        return self.trial.draw()

    @cached_property
    def chunks(self) -> tuple[Drawn, Drawn]:
        """Draw the same samples in two parts."""
        return self.trial.draw(samples=range(2)), self.trial.draw(
            samples=range(2, self.trial.num_samples)
        )

    @cached_property
    def few(self) -> list[tuple[Trial, int, Drawn]]:
        """Draw one sample, and as many as there are channels and chains, for images of one and of three channels."""
        runs = []
        for channels in (1, 3):
            method = (
                dataclasses.replace(self.method, num_chains=channels)
                if self.joint == "chain"
                else self.method
            )
            trial = Trial(method, self.path, channels, declared_caps(method), channels)
            # `self.trial` has trained the method already
            trial = self.trial if channels == 1 and self.joint != "chain" else trial
            runs += [(trial, s, trial.draw(samples=range(s))) for s in sorted({1, channels})]
        return runs

    @property
    def num_rows(self) -> int:
        return M * self.trial.num_samples
