"""The report: one HTML file with tables, charts and pictures inside, readable without a network."""

from __future__ import annotations

import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.core.artefacts import Json
from bench.core.layout import CLAIMS_TABLES, Layout
from bench.core.papers import is_rehearsal
from bench.core.results import LEFT_OUT
from bench.papers.claims.claim import RULE as RULE_OF_CLAIMS
from bench.papers.published_tables import NO_MATCH, RULE
from bench.papers.side_by_side import NONE_ALIKE
from bench.papers.side_by_side import RULE as RULE_OF_SIDES
from bench.report.front.references import has_reference, posterior_words
from bench.report.front.standings import by_key, modules_of
from bench.report.markup import goal_text
from bench.report.notes import REHEARSED, measured_range
from bench.report.page.attachments import attached
from bench.report.page.charts import VIEWS as CHARTS
from bench.report.page.content import Content
from bench.report.page.figures import read_figure
from bench.report.page.gallery import COMPACT, FULL, Room, gallery, samples_of
from bench.report.page.palette import MARKS, look_of
from bench.report.page.strip import chosen_tasks, strip_of
from bench.report.tables import DISTANCE
from bench.stats.results import SuiteResults

TABLES = ("summary.csv", "comparisons.csv", "published.csv")
# bytes of the page that pictures of all tasks take at most, and one table; a larger table is linked
MOST_OF_GALLERIES, MOST_ATTACHED = 1_900_000, 400_000
VIEWS = {
    "summary": "Summary",
    "tasks": "Tasks",
    "gallery": "Gallery",
    "calibration": "Calibration",
    "cost": "Cost",
    "claims": "Claims",
    "reproduced": "Reproduced",
}


def render(content: Content, compact: bool = False) -> str:
    """Return the HTML of the page; reads samples, figures and tables of the suite.

    compact: with fewer pictures and links in place of files, as it lies beside published tables. Raises ArtefactError,
    one line, when a file is missing.
    """
    shown = {field.name: getattr(content, field.name) for field in fields(content)}
    shown |= {
        "views": VIEWS,
        "compact": compact,
        "folder": "" if compact else "tables/",
        "claims_link": _link_of_claims(content, compact),
    }
    shown |= _words(content) | _files(content, compact) | _pictures(content, compact)
    return _environment(content).get_template("page.html").render(shown)


def _words(content: Content) -> dict[str, Any]:
    """Return names and sentences that the templates need beside the content."""
    return {
        "measured": measured_range(content.suite),
        "task_names": [task.name for task in content.suite.tasks],
        "posterior": posterior_words(content.suite),
        "has_reference": has_reference(content.suite),
        "rule_of_claims": RULE_OF_CLAIMS,
        "rule": RULE,
        "no_match": NO_MATCH,
        "rehearsal": REHEARSED if is_rehearsal(content.suite.root) else "",
        "rule_of_sides": RULE_OF_SIDES,
        "none_alike": NONE_ALIKE,
        "distance": DISTANCE,
    }


def _files(content: Content, compact: bool) -> dict[str, Any]:
    """Return the tables that can be saved from the page, and the figures that a suite adds; none in a compact page."""
    layout = Layout(content.suite.root)
    tables = (*TABLES, *(CLAIMS_TABLES[:1] if content.claims.are_own else ()))
    own = [stem for stem in content.suite.figures if stem not in CHARTS]
    files = {} if compact else {name: attached(layout.table(name)) for name in tables}
    return {
        "attachments": {k: file for k, file in files.items() if len(file.href) <= MOST_ATTACHED},
        "figures": [] if compact else [read_figure(layout.figures, stem) for stem in own],
    }


def _link_of_claims(content: Content, compact: bool) -> str:
    """Return where the whole ledger of claims is, seen from the page."""
    if not compact:
        return content.claims.link
    return "claims.md" if content.claims.are_own else "../claims/claims.md"


def _pictures(content: Content, compact: bool) -> dict[str, Any]:
    """Return the gallery of each task, and the strips of the summary."""
    suite, known = content.suite, by_key(content.lines)
    galleries, strips = _galleries(suite, COMPACT if compact else FULL), []
    size = sum(len(one["image"]) for one in galleries.values())
    if size > MOST_OF_GALLERIES:
        fewer = int(FULL.pixels * MOST_OF_GALLERIES / size)
        galleries = _galleries(suite, replace(FULL, pixels=fewer))
    for task in chosen_tasks(suite):
        if task.name in galleries:
            strips.append(strip_of(task, samples_of(suite, task), content.front, known))
    return {"galleries": galleries, "strips": strips}


def _galleries(suite: SuiteResults, room: Room) -> dict[str, Json]:
    """Return the gallery of each task that has samples."""
    read = ((task, samples_of(suite, task)) for task in suite.tasks)
    return {
        task.name: gallery(suite, task, shown, room) for task, shown in read if shown.sample_sets
    }


def _environment(content: Content) -> Environment:
    """Return the templates of this folder, which are used since pandas' HTML has no filters, marks and reasons."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.filters["code"] = with_code
    environment.globals |= {
        "goal_text": goal_text,
        "definitions": content.definitions,
        "looks": marks(content),
        "outlines": MARKS,
        "left_out": LEFT_OUT,
    }
    return environment


def with_code(text: str) -> Markup:
    """Return text, escaped, with the parts between backticks marked as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def marks(content: Content) -> dict[str, dict[str, Any]]:
    """Return colours and mark of each row of the suite, and of the reference."""
    modules = {"reference": "reference"} | modules_of(content.suite)
    looks, places = {}, dict.fromkeys(modules.values(), 0)
    # the row that has the name of its plug-in gets the first mark, wherever it is in the suite
    for method, plugin in sorted(modules.items(), key=lambda item: item[0] != item[1]):
        looks[method] = asdict(look_of(method, plugin, places[plugin]))
        places[plugin] += 1
    return {method: looks[method] for method in modules}
