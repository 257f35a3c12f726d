"""The colour and the mark of each method on the page: the same in every chart and in every suite."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

# light and dark theme: Okabe and Ito's colours and further ones, of about equal weight on white and on black
COLOURS = (
    ("#0072b2", "#56a8e0"),
    ("#d55e00", "#f08a45"),
    ("#009e73", "#33c79d"),
    ("#b5478f", "#e085bf"),
    ("#b8860b", "#e3b341"),
    ("#5b3a8c", "#a98be0"),
    ("#2b8cbe", "#7fd0f5"),
    ("#7a4a1d", "#c08e5e"),
    ("#b5123e", "#ef6f8f"),
    ("#3d6b2f", "#86bd74"),
    ("#2f3e6b", "#8fa3dd"),
    ("#c2417c", "#f290b8"),
)
GREY, INK = ("#7d828b", "#a0a6b0"), ("#1f2430", "#e6e8ec")
# outlines within about [-0.7, 0.7], y down
MARKS = {
    "circle": "",
    "square": "-.56,-.56 .56,-.56 .56,.56 -.56,.56",
    "triangle": "0,-.68 .66,.5 -.66,.5",
    "diamond": "0,-.72 .72,0 0,.72 -.72,0",
    "down": "0,.68 .66,-.5 -.66,-.5",
    "plus": "-.22,-.68 .22,-.68 .22,-.22 .68,-.22 .68,.22 .22,.22 .22,.68 -.22,.68 -.22,.22 -.68,.22 -.68,-.22 "
    "-.22,-.22",
    "star": "0,-.75 .18,-.23 .71,-.23 .28,.1 .44,.62 0,.3 -.44,.62 -.28,.1 -.71,-.23 -.18,-.23",
}
SHAPES = tuple(name for name in MARKS if name != "star")
# plug-ins in the order in which they got their colour; a new one goes to the end, others by their name
KNOWN = (
    "dps", "ods", "pnp_dm", "aps", "latent_langevin", "tds", "hmc", "ddrm", "pigdm", "daps", "diffpir", "rtb",
    "dflow", "mmps", "lgd_mc", "red_diff", "mpgd", "mcgdiff", "annealed_langevin", "latent_rwm", "adam_map", "tv",
    "wiener", "best_of_n",
)  # fmt: skip
OF_BASELINES = {
    "reference": (INK, "star"),
    "oracle": (INK, "circle"),
    "unconditional": (GREY, "square"),
}


@dataclass(frozen=True)
class Look:
    """Colours in the light and in the dark theme, and the name of the mark."""

    light: str
    dark: str
    mark: str


def look_of(method: str, plugin: str, place: int = 0) -> Look:
    """Return how a row of the plug-in looks. Rows of one plug-in share its colour and differ in their mark.

    place: of the row among the others of its plug-in in the suite, 0 for the row that bears its name.
    """
    if method in OF_BASELINES:
        (light, dark), mark = OF_BASELINES[method]
        return Look(light, dark, mark)
    number = KNOWN.index(plugin) if plugin in KNOWN else zlib.crc32(plugin.encode()) % 120
    shape = SHAPES[(number // len(COLOURS) + place) % len(SHAPES)]
    return Look(*COLOURS[number % len(COLOURS)], shape)
