"""The experiments of the four papers, one by one, each with the suite that has it or the reason why none does."""

from __future__ import annotations

from dataclasses import dataclass

NO_BKSE = "needs the network BKSE for its blur, which has no licence; its kernel also changes between calls"
NO_METHOD = "no such sampler here"
PRIVATE = "needs decoder and reward of others, wrapped as docs/add-a-prior.md says; never run here"


@dataclass(frozen=True)
class Experiment:
    """An experiment: its place in a paper, what it shows, the suite that has it (or ""), and what that suite lacks."""

    paper: str
    place: str
    what: str
    suite: str = ""
    missing: str = ""


EXPERIMENTS = (
    Experiment(
        "dps", "Tables 1, 6", "five linear tasks on FFHQ", "papers/dps_ffhq256",
        "rows MCG, PnP-ADMM, Score-SDE and ADMM-TV",
    ),
    Experiment(
        "dps", "Tables 2, 7", "five linear tasks on ImageNet", "papers/dps_imagenet256",
        "rows MCG, PnP-ADMM, Score-SDE and ADMM-TV",
    ),
    Experiment(
        "dps", "Table 3", "phase retrieval on FFHQ", "papers/dps_ffhq256",
        "rows OSS, HIO and ER; the best of four runs, where all samples count here",
    ),
    Experiment("dps", "Table 4", "blur that is not linear", missing=NO_BKSE),
    Experiment(
        "dps", "Table 5, Figures 8, 9", "step sizes", "papers/dps_ffhq256",
        "step sizes that change along the chain",
    ),
    Experiment("dps", "Figures 4, 5, 12 to 15", "pictures on FFHQ, some under Poisson noise", "papers/dps_ffhq256"),
    Experiment("dps", "Figures 4, 16 to 19", "pictures on ImageNet", "papers/dps_imagenet256"),
    Experiment(
        "dps", "Figure 6", "pictures of tasks that are not linear", "papers/dps_ffhq256",
        f"blur: {NO_BKSE}",
    ),
    Experiment("dps", "Figure 7", "MCG makes noise larger", missing=f"{NO_METHOD}: MCG"),
    Experiment(
        "dps", "Figure 10", "four likelihoods for Poisson noise", missing="only one of the four is here",
    ),
    Experiment("dps", "Figure 11", "quality against network calls; seconds", "papers/dps_ffhq256"),
    Experiment(
        "cps", "Tables 1, 3", "three linear tasks on bedrooms, quality and diversity", "papers/cps_bedroom256",
        "rows LGD, MPGD, CM-inversion; diversity score on features of ResNet-50",
    ),
    Experiment(
        "cps", "Table 2", "three tasks on bedrooms that are not linear", "papers/cps_bedroom256",
        f"blur: {NO_BKSE}",
    ),
    Experiment("cps", "ImageNet table", "three linear tasks on ImageNet 64", "papers/cps_imagenet64"),
    Experiment("cps", "Figure 2", "seconds against number of samples", "papers/cps_bedroom256"),
    Experiment("cps", "Figures 1, 3, 4, 5", "diverse samples of one measurement", "papers/cps_bedroom256"),
    Experiment(
        "ods", "Tables 3, 8, 9, Figures 4, 8, 40", "CIFAR-10 classes, flow prior", "papers/ods_cifar10",
        "rows Adjoint Matching and DPS",
    ),
    Experiment(
        "ods", "Tables 3, 7", "CIFAR-10 classes, GAN prior", missing=
        "needs SN-GAN's generator, of a format that no adapter reads; in small: suite reward",
    ),
    Experiment(
        "ods", "Tables 4, 10, 11, Figures 5, 10 to 27", "faces by text, StyleGAN3 and NVAE", "papers/ods_ffhq",
        PRIVATE,
    ),
    Experiment("ods", "Tables 5, 12, Figures 6, 28 to 39", "Stable Diffusion 3 by text", missing=PRIVATE),
    Experiment("ods", "Table 6, Figure 7", "proteins, FoldFlow 2", missing=PRIVATE),
    Experiment("ods", "Table 13", "Stable Diffusion 1.5", missing="numbers of another paper; " + NO_METHOD),
    Experiment("ods", "Table 14, Figure 9", "distillation to one step", "papers/ods_cifar10"),
    Experiment("ods", "Figures 1 to 3", "toys in the plane", "ods_toy"),
    Experiment("aps", "Table 2, Figures 1, 6", "four tasks on CelebA", "papers/aps_celeba", "MCG"),
    Experiment("aps", "mean of 128 samples, speed", "quality against number of samples", "papers/aps_celeba"),
    Experiment(
        "aps", "manifold", "signals on a manifold", "sphere", "which manifold the paper has is not known"
    ),
    Experiment("aps", "climate", "temperature fields", "sphere", "the data's variable and mask are not known"),
    Experiment(
        "aps", "out of distribution", "trained on CelebA, applied to FFHQ", missing=
        "a task has one data set for training and measurements",
    ),
    Experiment("", "our own", "a common protocol at 32 and 64 pixels", "papers/common64"),
)  # fmt: skip
