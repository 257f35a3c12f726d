"""The report: one HTML file with tables, figures and pictures inside, readable without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.markers import MarkerStyle
from PIL import Image

from bench.core import registry
from bench.core.results import REFERENCE
from bench.figures._style import INK, STAR, looks
from bench.papers.beside import NO_PAIR, RULE, Beside, Words
from bench.papers.claims.ledger import RULE as RULE_OF_CLAIMS
from bench.report.markup import goal_text
from bench.report.page.attachments import Attachment, attached, embedded_png, existing
from bench.report.page.gallery import gallery
from bench.report.tables import DISTANCE, Table
from bench.stats.results import SuiteResults

TABLES = ("summary.csv", "comparisons.csv", "published.csv", "claims.csv")


@dataclass(frozen=True)
class Mark:
    """Colour and outline of a marker, `x,y x,y ...` within about [-0.7, 0.7], y down."""

    colour: str
    outline: str


@dataclass(frozen=True)
class Figure:
    """`image` is a data URL of `width` x `height` pixels."""

    stem: str
    caption: str
    image: str
    width: int
    height: int
    csv: Attachment


def page(
    suite: SuiteResults,
    overview: Table,
    tables: Sequence[Table],
    others: Mapping[str, tuple[Table, Sequence[str]]],
    claims: Words,
    published: Beside,
    notes: Sequence[str],
    definitions: Mapping[str, str],
) -> str:
    """HTML of the report; reads samples, and the figures and tables that stand beside it.

    others: tables that are not of one task, with their notes, by the id of their section.

    Raises ArtefactError when one of these is missing.
    """
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.globals |= {"goal_text": goal_text, "definitions": definitions, "marks": marks(suite.methods)}
    return environment.get_template("page.html").render(
        suite=suite,
        task_names=[task.name for task in suite.tasks],
        overview=overview,
        tables=tables,
        others=others,
        claims=claims,
        rule_of_claims=RULE_OF_CLAIMS,
        published=published,
        rule=RULE,
        no_pair=NO_PAIR,
        distance=DISTANCE,
        notes=notes,
        figures=[_figure(suite.root, stem, stem) for stem in suite.figures],
        grids={name: _figure(suite.root, f"grid-{name}", "grid") for name in (task.name for task in suite.tasks)},
        galleries={task.name: gallery(suite, task) for task in suite.tasks},
        attachments={name: attached(suite.root / "tables" / name) for name in TABLES},
    )


def marks(methods: Sequence[str]) -> dict[str, Mark]:
    """The marker of each method as the figures have it, and of the exact posterior, which is a star there."""
    found = {method: _mark(look.marker, look.colour) for method, look in looks(methods).items()}
    exact = _mark(STAR["marker"], INK)
    return found | {REFERENCE: exact}


def _mark(marker: str, colour: str) -> Mark:
    style = MarkerStyle(marker)
    outline = style.get_path().transformed(style.get_transform()).to_polygons()[0]
    return Mark(colour, " ".join(f"{x:.2f},{-y:.2f}" for x, y in outline))


def _figure(root: Path, stem: str, plugin: str) -> Figure:
    caption = registry.load("figure", plugin).caption
    path = root / "figures" / stem
    image = existing(path.with_name(f"{stem}.png"))
    width, height = _size_of_png(image)
    return Figure(stem, caption, embedded_png(image), width, height, attached(path.with_name(f"{stem}.csv")))


def _size_of_png(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
