"""Claims on amortised samplers in data space: quality and speed compared with DPS, measurements not trained on."""

from __future__ import annotations

from bench.papers.claims.claim import Claim
from bench.papers.claims.effects import Farther, Quicker

OURS, PAPER, CONTROL, DPS, PRIOR_DRAWS = "aps", "aps-paper", "aps-npe", "dps", "unconditional"
SHARED = ("gmm-denoise", "gmm-inpaint-box")  # APS and DPS see the prior that they are judged by
CLOCKED = ("gmm_map-denoise",)
ABSTRACT, REVIEWS = ("aps", "abstract", "P"), ("aps", "reviews", "R")
QUALITY = "One network evaluation per sample, with competitive quality"
UNSEEN = "The sampler generalises to measurements not trained on (reviewers: it is trained on those of the test)"
CLOSE = "At most 1.25 times as far from the exact posterior as DPS"
HALF = "On measurements that no training saw, less than half as far from the exact posterior as draws of the prior"

CLAIMS = (
    Claim("aps-quality", *ABSTRACT, QUALITY, CLOSE, Farther(PAPER, DPS), SHARED, 1.25, "below"),
    Claim("aps-quality-ours", *ABSTRACT, QUALITY, CLOSE, Farther(OURS, DPS), SHARED, 1.25, "below"),
    Claim("aps-npe", *ABSTRACT, "Training on measurements alone by the prior's score is worth it",
          "Nearer to the exact posterior than the same flow fitted to simulated pairs only: ratio below 1",
          Farther(OURS, CONTROL), SHARED, 1.0, "below"),
    Claim("aps-npe-paper", *ABSTRACT, "Training on measurements alone by the prior's score is worth it",
          "No pairs at all: nearer to the exact posterior than the same flow fitted to simulated pairs only",
          Farther(PAPER, CONTROL), SHARED, 1.0, "below"),
    Claim("aps-speed", *ABSTRACT, "One network evaluation per sample is far quicker than a diffusion sampler",
          "At least 10 times quicker than DPS per sample, training left out", Quicker(OURS, DPS), CLOCKED, 10.0,
          "above"),
    Claim("aps-unseen", *REVIEWS, UNSEEN, HALF, Farther(PAPER, PRIOR_DRAWS), SHARED, 0.5, "below"),
    Claim("aps-unseen-ours", *REVIEWS, UNSEEN, HALF, Farther(OURS, PRIOR_DRAWS), SHARED, 0.5, "below"),
    Claim("aps-unseen-images", *REVIEWS, "A sampler trained on CelebA serves FFHQ",
          lacks="needs two data sets of faces: natural images"),
    Claim("aps-celeba", "aps", "Table 2", "R", "Quality on CelebA at least that of DPS and MCG",
          lacks="needs CelebA; none of the paper's numbers could be found, and there is no public code"),
    Claim("aps-manifold", *ABSTRACT, "The same holds for signals on manifolds and for climate data",
          lacks="needs the paper's meshes, masks and noise, which no source gives; see the suite sphere"),
)  # fmt: skip
