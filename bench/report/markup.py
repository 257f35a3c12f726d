"""Tables written as Markdown and as LaTeX (booktabs, graphicx)."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.text import latex, markdown
from bench.report.tables import Cell, Row, Table

_ARROWS = {"up": "↑", "down": "↓"}
_LATEX_ARROWS = {"up": r"$\uparrow$", "down": r"$\downarrow$"}
_LATEX_HEAD = r"""% Needs \usepackage{booktabs} and \usepackage{graphicx}.
% Subscript and superscript are the ends of the interval; bold is tied with the best.
"""


def goal_text(goal: str) -> str:
    """An arrow, or the value to hit."""
    return _ARROWS.get(goal, f"({goal})" if goal else "")


def markdown_page(title: str, tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Each table under its header line, the notes beneath the last one."""
    blocks = [f"# {markdown(title)}"]
    for table in tables:
        blocks += [f"## {markdown(table.title)}", f"{markdown(table.header)}.", markdown_table(table)]
        blocks += [f"† {markdown(words)}" for words in table.daggers]
        blocks += [f"{markdown(table.resolution)}."] if table.resolution else []
    blocks.append("\n".join(f"- {markdown(note)}" for note in notes))
    return "\n\n".join(blocks) + "\n"


def markdown_table(table: Table, corner: str = "") -> str:
    heads = [f"{name} {goal_text(goal)}".strip() for name, goal in table.columns]
    rows = [[corner, *heads], [":--", *["--:"] * len(heads)], *(_markdown_row(row) for row in table.rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def latex_page(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """One float per table, the notes in small print after the last one."""
    small = "\\par\n".join(latex(note) for note in notes)
    return _LATEX_HEAD + "\n".join(latex_table(t) for t in tables) + f"\n{{\\footnotesize\\noindent\n{small}\\par}}\n"


def latex_table(table: Table) -> str:
    goals = [_LATEX_ARROWS.get(goal) or latex(goal_text(goal)) for _, goal in table.columns]
    heads = [f"{latex(name)} {goal}".strip() for (name, _), goal in zip(table.columns, goals, strict=True)]
    lines = [
        r"\begin{table}[tp]",
        r"\centering",
        rf"\caption{{{latex(table.title)}: {latex(table.header)}.}}",
        rf"\label{{tab:{_label(table.title)}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{l{'c' * len(heads)}}}",
        r"\toprule",
        " & ".join(["", *heads]) + r" \\",
        r"\midrule",
        *(" & ".join(_latex_row(row)) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        *(rf"\par\smallskip{{\footnotesize $^\dagger$ {latex(words)}}}" for words in table.daggers),
        *([rf"\par\smallskip{{\footnotesize {latex(table.resolution)}.}}"] if table.resolution else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(row: Row) -> list[str]:
    name = markdown(row.method) + (f" ({row.role})" if row.role else "")
    if not row.reason:
        return [name, *(_markdown_cell(cell) for cell in row.cells)]
    short = "n/a" if row.reason.startswith("n/a") else "failed"
    return [name, markdown(row.reason), *[short] * (len(row.cells) - 1)]


def _markdown_cell(cell: Cell) -> str:
    if not cell.mean:
        return markdown(cell.reason)
    mean = f"**{cell.mean}**" if cell.tied else cell.mean
    ends = f" [{cell.low}, {cell.high}]" if cell.low else ""
    return mean + ends + (f" ({markdown(cell.remark)})" if cell.remark else "") + (" †" if cell.reason else "")


def _latex_row(row: Row) -> list[str]:
    name = latex(row.method) + (f" ({row.role})" if row.role else "")
    if row.reason:
        return [name, rf"\multicolumn{{{len(row.cells)}}}{{l}}{{{latex(row.reason)}}}"]
    return [name, *(_latex_cell(cell) for cell in row.cells)]


def _latex_cell(cell: Cell) -> str:
    if not cell.mean:
        return latex("n/a" if cell.reason.startswith("n/a") else cell.reason)
    bounds = f"_{{{cell.low}}}^{{{cell.high}}}" if cell.low else ""
    mean = rf"\mathbf{{{cell.mean}}}" if cell.tied else cell.mean
    remark = f" ({latex(cell.remark)})" if cell.remark else ""
    return f"${mean}{bounds}$" + remark + (r"$^\dagger$" if cell.reason else "")


def _label(title: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in title)
