"""Write tables as Markdown and as LaTeX (booktabs, graphicx), through pandas."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.text import latex, markdown, markdown_table
from bench.report.table import Cell, Table, words_on_kinds

_ARROWS = {"up": "↑", "down": "↓"}
_LATEX_ARROWS = {"up": r"$\uparrow$", "down": r"$\downarrow$"}
_LATEX_HEAD = r"""% Needs \usepackage{booktabs} and \usepackage{graphicx}.
% Subscript and superscript are the ends of the interval; bold is tied with the best.
"""
# a cell that \multicolumn covers; pandas writes no cells across columns from a frame
_SPANNED = r"\spanned"


def goal_text(goal: str) -> str:
    """Return an arrow, or the value to hit or the role in brackets."""
    return _ARROWS.get(goal, f"({goal})" if goal else "")


def markdown_page(title: str, tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Return a page: each table below its header, the notes below the last table."""
    blocks = [f"# {markdown(title)}"]
    for table in tables:
        blocks += [f"## {markdown(table.title)}", f"{markdown(table.header)}.", markdown_of(table)]
        blocks += [f"† {markdown(text)}" for text in table.partial_means]
        blocks += [f"{markdown(table.resolution)}."] if table.resolution else []
        kinds = words_on_kinds(table)
        blocks += [f"Methods by kind: {markdown(kinds)}."] if kinds else []
    blocks.append("\n".join(f"- {markdown(note)}" for note in notes))
    return "\n\n".join(blocks) + "\n"


def markdown_of(table: Table) -> str:
    """Return the table alone. A row with one reason has it in its first cell, and `n/a` or `failed` in the others."""
    heads = [
        f"{markdown(name)} {goal_text(table.goals.get(name, ''))}".strip()
        for name in table.frame.columns
    ]
    rows, kind_before = [], ""
    for name, cells in table.frame.iterrows():
        if (kind := table.kinds.get(str(name), "")) and kind != kind_before:
            rows.append([f"*{markdown(kind)}*", *[""] * len(cells)])
        kind_before = kind
        row = [_markdown_cell(cell) for cell in cells]
        if reason := table.reasons.get(str(name)):
            why = "n/a" if reason.startswith("n/a") else "failed"
            row = [markdown(reason), *[why] * (len(row) - 1)]
        rows.append(
            [f"{markdown(str(name))} {goal_text(table.roles.get(str(name), ''))}".strip(), *row]
        )
    return markdown_table(["", *heads], rows, numeric=True)


def latex_page(tables: Sequence[Table], notes: Sequence[str]) -> str:
    """Return one float per table, and the notes in small print below the last one."""
    small = "\\par\n".join(latex(note) for note in notes)
    return (
        _LATEX_HEAD
        + "\n".join(latex_of(t) for t in tables)
        + f"\n{{\\footnotesize\\noindent\n{small}\\par}}\n"
    )


def latex_of(table: Table) -> str:
    """Return one float: caption, table as wide as the text, and below it what its marks mean."""
    below = [rf"$^\dagger$ {latex(text)}" for text in table.partial_means]
    below += [f"{latex(table.resolution)}."] if table.resolution else []
    label = "".join(c if c.isalnum() else "-" for c in table.title)
    lines = [
        r"\begin{table}[tp]",
        r"\centering",
        rf"\caption{{{latex(table.title)}: {latex(table.header)}.}}",
        rf"\label{{tab:{label}}}",
        r"\resizebox{\textwidth}{!}{%",
        f"{_tabular(table).rstrip()}}}",
        *(rf"\par\smallskip{{\footnotesize {text}}}" for text in below),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: Cell) -> str:
    if not cell.mean:
        return markdown(cell.reason)
    mean = f"**{cell.mean}**" if cell.tied else cell.mean
    ends = f" [{cell.low}, {cell.high}]" if cell.low else ""
    return (
        mean
        + ends
        + (f" ({markdown(cell.remark)})" if cell.remark else "")
        + (" †" if cell.reason else "")
    )


def _tabular(table: Table) -> str:
    """Return the tabular environment. A row with one reason shows it across all columns."""
    frame = table.frame.map(_latex_cell)
    width = len(frame.columns)
    for name, reason in table.reasons.items():
        frame.loc[name] = [
            rf"\multicolumn{{{width}}}{{l}}{{{latex(reason)}}}",
            *[_SPANNED] * (width - 1),
        ]
    goals = [table.goals.get(name, "") for name in frame.columns]
    marks = [_LATEX_ARROWS.get(goal) or latex(goal_text(goal)) for goal in goals]
    frame.columns = [
        f"{latex(name)} {mark}".strip() for name, mark in zip(frame.columns, marks, strict=True)
    ]
    frame.index = [
        f"{latex(name)} {goal_text(table.roles.get(name, ''))}".strip() for name in frame.index
    ]
    return frame.to_latex(column_format="l" + "c" * width, escape=False).replace(
        f" & {_SPANNED}", ""
    )


def _latex_cell(cell: Cell) -> str:
    if not cell.mean:
        return latex("n/a" if cell.reason.startswith("n/a") else cell.reason)
    bounds = f"_{{{cell.low}}}^{{{cell.high}}}" if cell.low else ""
    mean = rf"\mathbf{{{cell.mean}}}" if cell.tied else cell.mean
    remark = f" ({latex(cell.remark)})" if cell.remark else ""
    return f"${mean}{bounds}$" + remark + (r"$^\dagger$" if cell.reason else "")
