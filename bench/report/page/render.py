"""The report: one HTML file with tables, figures and pictures inside, readable without a network."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.core.layout import CLAIMS_TABLES, Layout
from bench.papers.claims.claim import RULE as RULE_OF_CLAIMS
from bench.papers.published_tables import NO_MATCH, RULE
from bench.report.markup import goal_text
from bench.report.notes import measured_range
from bench.report.page.attachments import attached
from bench.report.page.content import Content
from bench.report.page.figures import marks, read_figure
from bench.report.page.gallery import gallery
from bench.report.tables import DISTANCE

TABLES = ("summary.csv", "comparisons.csv", "published.csv")


def render(content: Content) -> str:
    """Return the HTML of the page; reads samples, figures and tables of the suite.

    Raises ArtefactError, one line, when one of these is missing.
    """
    suite = content.suite
    layout = Layout(suite.root)
    tables = (*TABLES, *(CLAIMS_TABLES[:1] if content.claims.are_own else ()))
    task_names = [task.name for task in suite.tasks]
    return (
        _environment(content)
        .get_template("page.html")
        .render(
            suite=suite,
            measured=measured_range(suite),
            task_names=task_names,
            overview=content.overview,
            tables=content.tables,
            sections=content.sections,
            claims=content.claims,
            rule_of_claims=RULE_OF_CLAIMS,
            published=content.published,
            rule=RULE,
            no_match=NO_MATCH,
            distance=DISTANCE,
            notes=content.notes,
            figures=[read_figure(layout.figures, stem) for stem in suite.figures],
            grids={name: read_figure(layout.figures, f"grid-{name}") for name in task_names},
            galleries={task.name: gallery(suite, task) for task in suite.tasks},
            attachments={name: attached(layout.table(name)) for name in tables},
        )
    )


def _environment(content: Content) -> Environment:
    """Return the templates of this folder. They are our own: pandas' HTML knows no filters, marks and reasons."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    of_methods = marks(content.suite.methods, content.suite.kinds)
    environment.globals |= {
        "goal_text": goal_text,
        "definitions": content.definitions,
        "marks": of_methods,
    }
    return environment
