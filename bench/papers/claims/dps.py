"""Claims on diffusion posterior sampling: its step size, and images."""

from __future__ import annotations

from bench.papers.claims.claim import Claim
from bench.papers.claims.effects import WorstOverBest

# the paper's zeta' with the displacement per pixel of its images: rows of 1000 steps, see config/claims.yaml
ROWS = ("dps-paper-z0.1", "dps-paper-z0.3", "dps-paper")
TASKS = ("gmm-denoise", "gmm-inpaint-box")

CLAIMS = (
    Claim("dps-zeta", "dps", "advice on zeta'", "P", "Any step size zeta' from 0.1 to 1 works",
          "At most 1.5 times as far from the exact posterior at the worst of zeta' = 0.1, 0.3 and 1 as at the best, "
          "zeta' scaled to the same displacement per pixel as in the paper's images",
          WorstOverBest(ROWS), TASKS, 1.5, "below"),
    Claim("dps-images", "dps", "Tables 1 to 4", "P", "Lower FID and LPIPS than DDRM, MCG, PnP-ADMM and others",
          lacks="needs FFHQ and ImageNet, FID on natural images, and those baselines"),
    Claim("dps-schedule", "dps", "Table 5", "P",
          "A constant zeta' is at least as good as other schedules of step sizes",
          lacks="needs dps with other schedules of its step size"),
    Claim("dps-steps", "dps", "Fig. 11a", "P", "Best of all from about 250 network evaluations on, DDRM is below",
          lacks="needs DDRM, and LPIPS on natural images"),
)  # fmt: skip
