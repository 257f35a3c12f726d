"""The diffusers folder format: what diffusers writes opens here, what we write opens there, with the same samples."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.core.errors import UserError
from bench.core.foreign_files import converted
from bench.core.rng import Rng
from bench.priors import _networks as networks
from bench.priors.adapters.diffusers import (
    CONSISTENCY,
    EDM,
    WEIGHTS,
    Pipeline,
    open_pipeline,
    scheduler_of,
    write_pipeline,
)
from bench.priors.adapters.preconditioning import (
    ConsistencyMap,
    DDPMDenoiser,
    EDMDenoiser,
    denoiser_of,
)
from bench.priors.consistency import Consistency
from bench.priors.edm import Diffusion

SHAPE = (1, 8, 8)


def unet(num_classes: int | None = None, out_channels: int = 1):
    """A small network with random weights, as diffusers makes it."""
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(1)
        return UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=out_channels,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            num_class_embeds=num_classes,
        )


def noise(num_steps: int, num_rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """What the generator of that seed gives a `ConsistencyModelPipeline`: z, and the noise after each step."""
    generator = torch.Generator().manual_seed(seed)
    z, *rest = (torch.randn(num_rows, *SHAPE, generator=generator) for _ in range(1 + num_steps))
    return z, torch.stack(rest)


def as_images(x: Tensor) -> Tensor:
    return (x / 2 + 0.5).clamp(0, 1)


def made_by(
    pipeline, num_steps: int, num_rows: int, labels: list[int] | None = None, seed: int = 0
) -> Tensor:
    """Samples of a `ConsistencyModelPipeline`, before it clips them to [0, 1]."""
    pipeline.set_progress_bar_config(disable=True)
    seen = []
    images = pipeline(
        batch_size=num_rows,
        num_inference_steps=num_steps,
        generator=torch.Generator().manual_seed(seed),
        class_labels=labels,
        output_type="pt",
        callback=lambda step, t, x: seen.append(x.clone()),
    ).images
    assert torch.equal(images, as_images(seen[-1]))
    return seen[-1]


@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("clip_denoised", [True, False])
def test_a_consistency_pipeline_of_diffusers_gives_the_same_bits_here(
    tmp_path, num_steps, num_classes, clip_denoised
):
    from diffusers import ConsistencyModelPipeline

    label = None if num_classes is None else 2
    scheduler = scheduler_of(CONSISTENCY, {"clip_denoised": clip_denoised})
    theirs = ConsistencyModelPipeline(unet(num_classes).eval(), scheduler)
    theirs.save_pretrained(tmp_path)
    labels = None if label is None else [label] * 4
    expected = made_by(theirs, num_steps, 4, labels)

    ours = ConsistencyMap(open_pipeline(tmp_path, label))
    z, noises = noise(num_steps, 4)
    assert torch.equal(ours.multistep(z, None if num_steps == 1 else noises), expected)


@pytest.mark.parametrize("num_steps", [1, 2])
def test_a_consistency_prior_of_ours_gives_the_same_bits_in_diffusers(tmp_path, num_steps):
    from diffusers import ConsistencyModelPipeline

    network = networks.new_unet(SHAPE, (8, 8), 0, Rng(("test", "unet"), (0,), dtype=torch.float32))
    network.conv_out.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    settings = {"sigma_max": 20.0, "sigma_data": 0.8, "clip_denoised": False}
    write_pipeline(
        tmp_path, Pipeline(networks.frozen(network), scheduler_of(CONSISTENCY, settings))
    )
    written = sorted(
        str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()
    )
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert written == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        weights,
    ]

    prior = Consistency(ConsistencyMap(open_pipeline(tmp_path)), num_steps)
    z, noises = noise(num_steps, 5)
    theirs = made_by(
        ConsistencyModelPipeline.from_pretrained(tmp_path, local_files_only=True), num_steps, 5
    )
    assert torch.equal(prior.map.multistep(z, None if num_steps == 1 else noises), theirs)
    if num_steps == 1:
        assert torch.equal(prior.decode(z), theirs)
    decoded = prior.decode(z)
    assert torch.equal(decoded, prior.decode(z))  # the noise between steps is made of z
    # rows do not meet; the same sums in another order
    torch.testing.assert_close(decoded[2:3], prior.decode(z[2:3]), rtol=1e-4, atol=1e-4)


def test_the_noise_between_steps_is_standard_normal():
    prior = Consistency(
        ConsistencyMap(Pipeline(unet(), scheduler_of(CONSISTENCY, {}))), num_steps=3
    )
    z = noise(1, 2000)[0]
    first, second, _ = prior.noise(z).flatten(2)
    for made in (first, second):
        # a rotation of z
        assert torch.equal(made.abs().sort(1).values, z.flatten(1).abs().sort(1).values)
        # correlations of 2000 independent pairs; 64 x 64 of them stay within 5 standard errors, but for the 64 that
        # are one because each entry of the noise is one of z up to its sign
        correlated = (made.T @ z.flatten(1) / 2000).abs() > 5 / 2000**0.5
        assert correlated.sum() == 64
    assert not torch.equal(first, second)


def test_the_consistency_map_is_the_identity_at_the_smallest_noise():
    settings = {"sigma_min": 0.01, "sigma_data": 0.8, "clip_denoised": False}
    f = ConsistencyMap(Pipeline(unet(), scheduler_of(CONSISTENCY, settings)))
    x = noise(1, 3)[0]
    sigma = torch.tensor(0.01)
    # c_out is (sigma - sigma_min) ..., zero up to the rounding of sigma_min to float32
    torch.testing.assert_close(f(x, sigma), x, rtol=0, atol=1e-6)
    torch.testing.assert_close(f(x, sigma.expand(3)), x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_an_edm_denoiser_is_the_one_of_the_scheduler(tmp_path, prediction_type):
    settings = {
        "sigma_min": 0.01,
        "sigma_max": 20.0,
        "sigma_data": 0.7,
        "prediction_type": prediction_type,
    }
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of(EDM, settings)))
    ours = denoiser_of(open_pipeline(tmp_path))
    network, scheduler = unet(), scheduler_of(EDM, settings)
    scheduler.set_timesteps(5)
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas[:-1], strict=True):
        x_t = sigma * noise(1, 3)[0]
        scheduler._step_index = None
        with torch.no_grad():
            output = network(scheduler.scale_model_input(x_t, t), t, return_dict=False)[0]
        expected = scheduler.precondition_outputs(x_t, output, sigma)
        # a float32 network in another order of operations
        torch.testing.assert_close(ours(x_t, sigma), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours(x_t, sigma.expand(3)), expected, rtol=1e-4, atol=1e-5)


def test_an_edm_denoiser_without_noise_is_the_identity():
    prior = Diffusion(EDMDenoiser(Pipeline(unet(), scheduler_of(EDM, {}))), num_ode_steps=3)
    x = noise(1, 3)[0].double()
    assert torch.equal(prior.denoise(x, torch.tensor(0.0)).float(), x.float())
    # |D - x| <= c_out |F| + (1 - c_skip) |x| with sigma = 1e-5, |F| of order one
    torch.testing.assert_close(prior.denoise(x, torch.tensor(1e-5)), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("scheduler_name", ["DDPMScheduler", "DDIMScheduler"])
@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_a_foreign_denoiser_follows_its_schedulers_prediction_type(
    tmp_path, scheduler_name, beta_schedule, prediction_type
):
    settings = {
        "beta_schedule": beta_schedule,
        "prediction_type": prediction_type,
        "clip_sample": False,
    }
    scheduler = scheduler_of(scheduler_name, settings)
    write_pipeline(tmp_path, Pipeline(unet(), scheduler))
    ours = denoiser_of(open_pipeline(tmp_path))
    network = unet()
    scheduler.set_timesteps(1000)
    for t in (0, 1, 250, 990):
        x = noise(1, 3)[0]
        with torch.no_grad():
            output = network(x, torch.tensor(t), return_dict=False)[0]
        expected = scheduler.step(output, t, x).pred_original_sample
        abar = scheduler.alphas_cumprod[t]
        sigma = ((1 - abar.double()) / abar.double()).sqrt()
        found = ours((x.double() / abar.double().sqrt()).float(), sigma.float())
        # sigma in float32 moves the fractional step by 1e-7 of log sigma over its slope, times frequencies up to 1;
        # what is predicted is divided by sqrt(abar)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 / abar.sqrt().item())


def test_a_foreign_pipeline_keeps_its_mean_and_not_its_learned_variance(tmp_path):
    write_pipeline(tmp_path, Pipeline(unet(out_channels=2), scheduler_of("DDPMScheduler", {})))
    prior = Diffusion(denoiser_of(open_pipeline(tmp_path)), num_ode_steps=2)
    x = noise(1, 3)[0]
    assert isinstance(prior.denoiser, DDPMDenoiser) and prior.shape == SHAPE
    assert prior.denoise(x, torch.tensor(0.5)).shape == x.shape
    low, high = prior.sigma_range  # of beta from 1e-4 to 0.02
    assert low == pytest.approx((1e-4 / (1 - 1e-4)) ** 0.5, rel=1e-3) and 150 < high < 160


def test_old_folders_have_the_parts_next_to_the_index(tmp_path):
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of("DDPMScheduler", {})))
    for file in (*(tmp_path / "unet").iterdir(), *(tmp_path / "scheduler").iterdir()):
        file.rename(tmp_path / file.name)
    (tmp_path / "unet").rmdir()
    (tmp_path / "scheduler").rmdir()
    assert open_pipeline(tmp_path).kind == "DDPMScheduler"


@pytest.mark.parametrize(
    "name",
    [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ],
)
def test_a_missing_file_is_named_in_one_line(tmp_path, name):
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of(EDM, {})))
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{Path(name).name}: is missing") as error:
        open_pipeline(tmp_path)
    assert "\n" not in str(error.value)


def test_pickled_weights_are_refused(tmp_path):
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of(EDM, {})))
    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match="pickled .* run posterior-bench weights convert .*unet"):
        open_pipeline(tmp_path)


def test_pickled_weights_open_once_they_are_converted(tmp_path):
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of(EDM, {})))
    weights = tmp_path / "unet" / WEIGHTS
    tensors = load_file(weights)
    weights.unlink()
    torch.save(tensors, weights.with_suffix(".bin"))
    converted(weights.with_suffix(".bin"))
    opened = open_pipeline(tmp_path).unet.state_dict()
    assert all(torch.equal(opened[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("conv_out.bias"), "missing conv_out.bias$"),
        (lambda t: t.update(extra=torch.zeros(1)), "unexpected extra$"),
        (lambda t: t.update({"conv_in.weight": torch.zeros(9, 1, 3, 3)}), "is not the config's"),
    ],
)
def test_weights_of_another_network_are_refused_in_one_line(tmp_path, change, words):
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of(EDM, {})))
    tensors = load_file(tmp_path / "unet" / WEIGHTS)
    change(tensors)
    save_file(tensors, tmp_path / "unet" / WEIGHTS)
    with pytest.raises(UserError, match=words) as told:
        open_pipeline(tmp_path)
    assert "\n" not in str(told.value)


def test_truncated_weights_are_refused_in_one_line(tmp_path):
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of(EDM, {})))
    weights = tmp_path / "unet" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="is broken") as told:
        open_pipeline(tmp_path)
    assert "\n" not in str(told.value)


def test_code_that_is_called_safetensors_is_not_run(tmp_path):
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of(EDM, {})))
    left = tmp_path / "left"

    class Make:
        def __reduce__(self):
            return os.mkdir, (str(left),)

    torch.save({"conv_in.weight": Make()}, tmp_path / "unet" / WEIGHTS)
    with pytest.raises(UserError, match="is broken") as told:
        open_pipeline(tmp_path)
    assert not left.exists() and "\n" not in str(told.value)


def test_names_of_old_diffusers_are_those_of_today(tmp_path):
    """Attention was called query, key, value and proj_attn when the first public checkpoints were made."""
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of("DDPMScheduler", {})))
    expected = load_file(tmp_path / "unet" / WEIGHTS)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, weight in expected.items():
        for new, before in old.items():
            name = name.replace(f".{new}.", f".{before}.") if "attentions" in name else name
        renamed[name] = weight
    assert renamed.keys() != expected.keys()
    save_file(renamed, tmp_path / "unet" / WEIGHTS)
    opened = open_pipeline(tmp_path).unet.state_dict()
    assert all(torch.equal(opened[name], expected[name]) for name in expected)


def test_the_broken_conversion_of_imagenet_64_is_refused_with_a_message(tmp_path):
    """Its network has no normalisation in the middle attention: in the config, in the weights, or in both."""
    from diffusers import UNet2DModel

    def pipeline(folder, groups: int | None):
        with torch.random.fork_rng():
            network = UNet2DModel(
                sample_size=8,
                block_out_channels=(8, 16),
                layers_per_block=1,
                down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
                norm_num_groups=4,
                attn_norm_num_groups=groups,
                resnet_time_scale_shift="scale_shift",
                num_class_embeds=3,
            )
        write_pipeline(folder, Pipeline(network, scheduler_of(CONSISTENCY, {}), 0))
        return folder / "unet"

    good, broken = (pipeline(tmp_path / str(groups), groups) for groups in (4, None))
    assert open_pipeline(tmp_path / "4", 1).label == 1
    words = "broken conversion of the ImageNet-64 consistency model.*openai_consistency"
    with pytest.raises(UserError, match=words):  # both
        open_pipeline(tmp_path / "None", 1)
    (good / WEIGHTS).rename(tmp_path / "good")
    (broken / WEIGHTS).rename(good / WEIGHTS)
    with pytest.raises(UserError, match=f"missing mid_block.attentions.0.group_norm.*{words}"):
        open_pipeline(tmp_path / "4", 1)
    (tmp_path / "good").rename(broken / WEIGHTS)
    with pytest.raises(UserError, match=words):  # the config alone
        open_pipeline(tmp_path / "None", 1)


@pytest.mark.parametrize("source", ["nowhere/at-all", "/no/such/folder"])
def test_a_missing_source_is_reported_without_using_the_network(source):
    with pytest.raises(UserError, match="neither a local folder nor") as error:
        open_pipeline(source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("num_classes", "label"), [(3, None), (3, 3), (3, -1), (None, 0)])
def test_labels_that_do_not_fit_are_refused(num_classes, label):
    with pytest.raises(UserError, match="label"):
        Pipeline(unet(num_classes), scheduler_of(CONSISTENCY, {}), label)


def test_schedulers_that_are_not_understood_are_refused():
    with pytest.raises(UserError, match="family consistency opens it"):
        denoiser_of(Pipeline(unet(), scheduler_of(CONSISTENCY, {})))
    with pytest.raises(UserError, match="expected EDMEulerScheduler"):
        denoiser_of(Pipeline(unet(), scheduler_of("EulerDiscreteScheduler", {})))


def test_opening_leaves_the_global_generator_alone(tmp_path):
    write_pipeline(tmp_path, Pipeline(unet(), scheduler_of(EDM, {})))
    state = torch.get_rng_state()
    open_pipeline(tmp_path)
    assert torch.equal(state, torch.get_rng_state())
