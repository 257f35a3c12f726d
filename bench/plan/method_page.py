"""docs/methods.md: what each method does, what it costs and when it is exact, from the docstrings of its file."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

from bench.core.artefacts import write_bytes
from bench.core.declared_kinds import declared_kind
from bench.core.kinds import KINDS
from bench.core.registry import find, names
from bench.core.source import Source, parsed, read_source, text_of

SAMPLES = {
    "independent": "independent",
    "chain": "states of Markov chains",
    "coupled": "made together",
    "point": "one point estimate",
}
HEAD = """# Methods

Made by `posterior-bench docs` from the docstrings in `methods/`; do not edit.

For each method: where it is from, what it does, what a sample costs in rows through the prior's network, when its
samples are draws of the posterior, and what it needs of prior and problem ([add-a-method.md](add-a-method.md)). How it
departs from its paper is listed at the top of its file, under *Deviations*; its parameters are in
[reference/methods.md](reference/methods.md). Methods are grouped by kind, as in tables and figures.
"""


def write_method_page(file: Path) -> None:
    """Write the page."""
    write_bytes(file, method_page().encode())


def method_page() -> str:
    """Return the page: a list of the kinds with their methods, then a section for each."""
    groups: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name in names("method"):
        groups[declared_kind(name)].append(name)
    shown = {kind: methods for kind, methods in groups.items() if methods}
    listed = [
        f"| [{kind}](#{kind.lower()}) | {', '.join(f'[{name}](#{name})' for name in methods)} |"
        for kind, methods in shown.items()
    ]
    parts = [HEAD, "\n".join(["| kind | methods |", "|---|---|", *listed, ""])]
    for kind, methods in shown.items():
        parts += [f"## {kind}\n\n{textwrap.fill(KINDS[kind], 120)}\n", *map(section, methods)]
    return "\n".join(parts)


def section(name: str) -> str:
    """Return the section of one method: the first paragraph of its file, a link, and its class's docstring."""
    file = find("method", name)
    assert file, "names come from files"
    source = read_source(file)
    above = ast.get_docstring(parsed(text_of(file))) or ""
    title = " ".join(above.split("\n\n")[0].split())
    address = re.search(r"https?://\S+", above)
    link = f"\n[Source](<{address.group().rstrip('.,;:)')}>)." if address else ""
    title = re.sub(r",?\s*https?://\S+", "", title).rstrip(".:") + "."
    said = f"{source.doc}\n\n{facts(source)}" if source else ""
    return f"### {name}\n\n*{title}*{link}\n\n{said}\n"


def facts(source: Source) -> str:
    """Return in words what the class needs and how its samples are related."""
    needs = ", ".join(re.findall(r"Cap\.(\w+)", source.constants.get("needs", "")))
    needed = "depend on the settings" if "needs" in source.functions else f"{needs or 'NONE'}"
    field = source.fields.get("joint")  # of methods that leave it to the settings
    default = ast.literal_eval(field.default) if field and field.default else "independent"
    return f"Needs: {needed}. Samples: {SAMPLES[str(source.constant('joint') or default)]}."
