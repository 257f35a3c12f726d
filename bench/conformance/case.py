"""The method under test, and how a check says no."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

from bench.conformance.checks import Check, NotApplicable, Refused  # noqa: F401 (for the modules of checks)
from bench.conformance.trial import Drawn, Findings, M, Trial, contained
from bench.core.registry import name_of
from bench.runtime.run_method import declared_caps

NUM_SAMPLES = 5
JOINTS = ("independent", "chain", "coupled")


@dataclass(frozen=True)
class Case:
    """A method's file, and what the checks in their order find in it."""

    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), self.path.name)

    @cached_property
    def loaded(self) -> tuple[ModuleType, Findings]:
        name, findings = f"_conformance_{name_of(self.path) or self.path.stem}", Findings()
        inside = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        spec = importlib.util.spec_from_file_location(name, self.path, submodule_search_locations=inside)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
        with contained(findings, self.path):
            spec.loader.exec_module(module)
        return module, findings

    @property
    def module(self) -> ModuleType:
        return self.loaded[0]

    @cached_property
    def cls(self) -> type:
        return getattr(self.module, self.module.__all__[0])

    @property
    def joint(self) -> str:
        return getattr(self.cls, "joint", "independent")

    @property
    def tiny(self) -> dict[str, object]:
        return dict(getattr(self.cls, "tiny", {}))

    @cached_property
    def method(self) -> object:
        """With its defaults, or as small as it says it can be."""
        return dataclasses.replace(self.cls(), **self.tiny)

    @cached_property
    def trial(self) -> Trial:
        # a chain method gets two states of each chain
        num_samples = 2 * self.method.num_chains if self.joint == "chain" else NUM_SAMPLES
        return Trial(self.method, self.path, num_samples, declared_caps(self.method))

    @cached_property
    def base(self) -> Drawn:
        """The samples to which the others are compared."""
        return self.trial.draw()

    @cached_property
    def chunks(self) -> tuple[Drawn, Drawn]:
        """The same samples in two parts."""
        return self.trial.draw(samples=range(2)), self.trial.draw(samples=range(2, self.trial.num_samples))

    @property
    def num_rows(self) -> int:
        return M * self.trial.num_samples
