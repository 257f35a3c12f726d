"""Claims on sampling in noise space with a trained sampler: an easier posterior, and whether training pays."""

from __future__ import annotations

from bench.papers.claims.claim import Claim
from bench.papers.claims.effects import CostAtEqualWorth, Farther

ODS, PAPER = "ods", "ods-paper"
HMC, HMC_IN_DATA, SAME_ROWS = "hmc-latent", "hmc-data", "hmc-data-rows"
MAP = ("gmm_map-denoise",)
DENSITY = ("gmm-denoise", "gmm-inpaint-box")  # priors with a density, for HMC on images
TEXT, FIGURES = ("ods", "text, run times", "P"), ("ods", "Figs. 1 and 2", "P")
EASIER = "The posterior is easier to sample in noise space than in data space"
PAYS = "Training pays: chains of HMC take an hour and more for each target"
BETTER = "A sampler trained once does better than chains of HMC at the same total cost"


def at_equal_rows(num: int) -> Claim:
    """Return the claim for a training that serves `num` measurements."""
    many = f"{num} measurement" + ("s" if num > 1 else "")
    test = Farther(ODS, f"{HMC}-n{num}", equal_rows=True, num_measurements=num)
    hypothesis = f"Nearer than HMC at the same network rows in all (within 25 %) for {many}, training included"
    return Claim(
        f"ods-equal-cost-{num}", *TEXT, f"{BETTER}: for {many}", hypothesis, test, MAP, 1.0, "below"
    )


CLAIMS = (
    Claim("ods-easier-steps", *FIGURES, EASIER,
          "The same HMC with the same number of leapfrog steps gets nearer in z than in x: ratio below 1",
          Farther(HMC, HMC_IN_DATA), DENSITY, 1.0, "below"),
    Claim("ods-easier-rows", *FIGURES, EASIER,
          "The same HMC with the same network rows (within 25 %) gets nearer in z than in x: ratio below 1",
          Farther(HMC, SAME_ROWS, equal_rows=True), DENSITY, 1.0, "below"),
    *map(at_equal_rows, (1, 10, 100)),
    Claim("ods-paper-equal-cost", *TEXT, "The paper's sampler, trained for one target, does better than chains of HMC",
          "Nearer than HMC at the same network rows (within 25 %) for the one measurement: ratio below 1",
          Farther(PAPER, f"{HMC}-single", equal_rows=True), MAP, 1.0, "below"),
    Claim("ods-break-even-rows", *TEXT, PAYS, "For 100 measurements cheaper than HMC of the same worth: ratio below 1",
          CostAtEqualWorth(ODS, HMC, 100), MAP, 1.0, "below"),
    Claim("ods-break-even-seconds", *TEXT, PAYS,
          "For 100 measurements quicker than HMC of the same worth: ratio below 1",
          CostAtEqualWorth(ODS, HMC, 100, "seconds"), MAP, 1.0, "below"),
    Claim("ods-unseen", "ods", "text", "P",
          "One sampler can serve measurements that it was not trained on (the paper trains one for each target)",
          "At most 1.25 times as far from the exact posterior as the paper's, trained for each measurement",
          Farther(ODS, PAPER), MAP, 1.25, "below"),
    Claim("ods-cifar", "ods", "Tables 3, 7, 8 and 9", "P",
          "Lower FID than HMC in noise space on CIFAR-10, at a lower reward",
          lacks="needs CIFAR-10 generators, its classifier and FID on natural images"),
    Claim("ods-text", "ods", "Tables 4, 5 and 10 to 12", "P",
          "Higher reward of text prompts than the prior, HMC and guidance",
          lacks="needs StyleGAN3, NVAE or Stable Diffusion 3, and ImageReward: natural images"),
    Claim("ods-protein", "ods", "Table 6", "P", "More diverse protein structures than random walks in noise space",
          lacks="needs a generator of proteins: no images"),
)  # fmt: skip
