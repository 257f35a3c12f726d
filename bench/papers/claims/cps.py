"""Claims on Langevin chains in noise space: cost of many samples, and diversity, also compared with the exact one."""

from __future__ import annotations

from bench.papers.claims.claim import Claim
from bench.papers.claims.effects import Growth, MoreDiverse, NearerDiversity, WorthPerRow

RELEASED, ONE_CHAIN, OURS, DPS = "cps-released", "latent_langevin-one", "latent_langevin", "dps"
CHEAP = "dps-cheap"  # uses as many network rows as `OURS` with a decoder of one step
MAP = ("gmm_map-denoise",)  # a decoder of one step, as in the paper
SHARED = (
    "gmm-denoise",
    "gmm-inpaint-box",
)  # chains and DPS see the same prior; its decoder has many steps
CONSTANT = "Reconstruction time is nearly constant in the number of samples per measurement"
SQUARE = (
    "Worth grows at least as the square of the cost: four times the worth for at most twice the"
)
LINEAR = "The time of DPS is linear in the number of samples per measurement"
EFFECTIVE = "Many samples cost less by a chain than by restarts of DPS; reviewers ask what correlated states are worth"
DIVERSE = "Samples are more diverse than those of DPS at comparable fidelity"
VIRTUE = "That diversity is a virtue: it is that of the posterior"
MORE = "Posterior means within 1 dB, ratio above 1"
WORTH = "More independent draws' worth per network row than DPS, ratio above 1"
# worth by the posterior of the prior that DPS sees, so that the map's error counts; of the first and of all samples
TEACHER = "worth_energy_total"
ALL = f"{TEACHER}@64"
FIGURE, TABLE, ASKED = (
    ("cps", "Fig. 2", "S"),
    ("cps", "Table 3", "S"),
    ("cps", "Fig. 2 and reviews", "R"),
)

CLAIMS = (
    Claim("cps-growth-rows", *FIGURE, CONSTANT, f"{SQUARE} network rows", Growth(RELEASED), MAP, 2.0, "above"),
    Claim("cps-growth-seconds", *FIGURE, CONSTANT, f"{SQUARE} seconds", Growth(RELEASED, "seconds"), MAP, 2.0, "above"),
    Claim("cps-growth-rows-ours", *FIGURE, CONSTANT, f"{SQUARE} network rows", Growth(ONE_CHAIN), MAP, 2.0, "above"),
    Claim("cps-growth-seconds-ours", *FIGURE, CONSTANT, f"{SQUARE} seconds", Growth(ONE_CHAIN, "seconds"), MAP, 2.0,
          "above"),
    Claim("dps-growth-rows", *FIGURE, LINEAR, "Worth grows no faster than the network rows to the power 1.1",
          Growth(DPS, column=TEACHER), MAP, 1.1, "below"),
    Claim("dps-growth-seconds", *FIGURE, LINEAR, "Worth grows no faster than the seconds to the power 1.1",
          Growth(DPS, "seconds", TEACHER), MAP, 1.1, "below"),
    Claim("cps-effective", *ASKED, EFFECTIVE, WORTH, WorthPerRow(RELEASED, DPS, ALL), MAP, 1.0, "above"),
    Claim("cps-effective-ours", *ASKED, EFFECTIVE, WORTH, WorthPerRow(OURS, DPS, ALL), MAP, 1.0, "above"),
    Claim("cps-effective-ode", *ASKED, EFFECTIVE,
          f"{WORTH}, with a decoder of many steps, which the paper does not use", WorthPerRow(OURS, DPS), SHARED, 1.0,
          "above"),
    Claim("cps-diversity", *TABLE, DIVERSE, MORE, MoreDiverse(RELEASED, DPS), MAP, 1.0, "above"),
    Claim("cps-diversity-equal-rows", *TABLE, DIVERSE, f"{MORE}, at network rows within 25 %",
          MoreDiverse(OURS, CHEAP, equal_rows=True), MAP, 1.0, "above"),
    Claim("cps-diversity-exact", *TABLE, VIRTUE, "Nearer to the exact diversity than DPS, difference below 0",
          NearerDiversity(RELEASED, DPS), SHARED, 0.0, "below"),
    Claim("cps-diversity-exact-ours", *TABLE, VIRTUE, "Nearer to the exact diversity than DPS, difference below 0",
          NearerDiversity(OURS, DPS), SHARED, 0.0, "below"),
    Claim("cps-score", *TABLE, "A diversity score of 3.01 against 2.14 of DPS on 8-fold super-resolution",
          lacks="needs LSUN-Bedroom, its consistency model and ResNet-50 features: natural images"),
    Claim("cps-fidelity", "cps", "Tables 1 and 2", "S",
          "Fidelity near that of diffusion samplers, and far above that of other uses of consistency models",
          lacks="needs LSUN-Bedroom, FID on natural images, and the consistency-model baselines"),
    Claim("cps-one-step", "cps", "reviews", "R", "One step of the consistency model does at least as well as two",
          lacks="needs one prior as a one-step and as a two-step decoder"),
)  # fmt: skip
