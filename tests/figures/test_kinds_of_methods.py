"""Many methods are distinguished by their kinds: by order, a colour for each kind, and headings in the legend."""

from __future__ import annotations

import colorsys

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.conformance.figure_cases import suite_results
from bench.core.kinds import KINDS, by_kind
from bench.figures._style import handles, legend, looks
from bench.stats.figure_results import FigureResults

MANY = tuple(f"method{i}" for i in range(24))
OF_MANY = {method: list(KINDS)[i // 3] for i, method in enumerate(MANY)}


def hue(colour: str) -> float:
    return colorsys.rgb_to_hls(*mpl.colors.to_rgb(colour))[0]


def labels(handles: list[Line2D]) -> list[str]:
    return [str(handle.get_label()) for handle in handles]


def test_methods_are_ordered_by_kind_after_the_first_ones():
    kinds = {"a": "latent", "b": "guidance", "c": "baseline", "d": "latent"}
    assert by_kind("abcd", kinds) == ("b", "a", "d", "c")
    assert by_kind("abcd", kinds, first="c") == ("c", "b", "a", "d")
    assert by_kind("xa", kinds) == ("a", "x")  # one without a kind is of the others


def test_few_methods_have_the_colours_of_their_places():
    few = MANY[:12]
    assert looks(few, OF_MANY) == looks(few)
    assert len({look.colour for look in looks(few).values()}) == 12


def test_many_methods_have_the_hue_of_their_kind_and_no_two_look_alike():
    styles = looks(MANY, OF_MANY)
    assert tuple(styles) == MANY
    assert len(set(styles.values())) == len({x.colour for x in styles.values()}) == len(MANY)
    for kind in KINDS:
        shades = [styles[m].colour for m in MANY if OF_MANY[m] == kind]
        assert max(map(hue, shades)) - min(map(hue, shades)) < 0.02
        markers = [styles[m].marker for m in MANY if OF_MANY[m] == kind]
        assert len(set(markers)) == len(markers)


def test_one_kind_of_many_methods_has_the_colours_of_places():
    assert looks(MANY, dict.fromkeys(MANY, "other")) == looks(MANY)


def test_the_legend_of_many_methods_has_a_heading_for_each_kind():
    named = labels(handles(FigureResults(suite_results(16, 1))))
    headings = [label for label in named if label.endswith(":")]
    assert headings == [f"{kind}:" for kind in KINDS]
    assert all(
        named.index(a) + 1 < named.index(b) for a, b in zip(headings, headings[1:], strict=False)
    )
    assert not any(
        label.endswith(":") for label in labels(handles(FigureResults(suite_results(4, 1))))
    )


def test_no_heading_ends_a_column_of_the_legend():
    figure = Figure(figsize=(7, 3))
    words = ["floor", "a:", "1", "2", "b:", "3", "4", "c:", "5", "6", "7", "8"]
    legend(
        figure, [Line2D([], [], label=f"{word:>20}" if len(word) < 2 else word) for word in words]
    )
    (drawn,) = figure.legends
    texts = [text.get_text() for text in drawn.get_texts()]
    size, longer = divmod(len(texts), drawn._ncols)
    ends, end = [], 0
    for i in range(drawn._ncols - 1):
        end += size + (i < longer)
        ends.append(texts[end - 1])
    assert drawn._ncols > 1
    assert not any(text.endswith(":") for text in ends)
