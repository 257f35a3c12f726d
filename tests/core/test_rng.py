"""One stream per measurement and sample: no draw depends on batch, chunk, shard or order."""

import pytest
import torch

from bench.core.rng import Rng, stream

AXES = ("sample", "gmm-denoise", "dps", 0)
DRAWS = {
    "randn": lambda rng, shape: rng.randn(shape),
    "rand": lambda rng, shape: rng.rand(shape),
    "randint": lambda rng, shape: rng.randint(1000, shape),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_rows_depend_on_their_measurement_alone(draw, shape):
    batch = draw(Rng(AXES, (7, 3, 11)), shape)
    assert batch.shape == (3, *shape)
    assert torch.equal(draw(Rng(AXES, (11, 7)), shape), batch[[2, 0]])
    assert torch.equal(draw(Rng(AXES, (3,)), shape), batch[1:2])


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("shape", [(), (4,), (1, 3, 2), (6,), (6, 2)])
def test_samples_come_out_the_same_in_any_chunks(draw, shape):
    def two_draws(samples):
        rng = Rng(AXES, (7, 3), samples)
        return [draw(rng.per_sample, shape) for _ in range(2)]

    whole = two_draws(range(6))
    assert whole[0].shape == (2, 6, *shape)
    for chunk in (range(2), range(2, 5), range(5, 6)):
        for part, of in zip(two_draws(chunk), whole, strict=True):
            assert torch.equal(part, of[:, chunk.start : chunk.stop])


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (6, 2), (1, 4, 4)])
def test_no_shape_chooses_the_stream(draw, shape):
    """Also where the leading length is that of one channel, or as many chains as there are samples."""
    alone = draw(Rng(AXES, (7, 3)), shape)
    for num_samples in (1, 3, 6):
        assert torch.equal(draw(Rng(AXES, (7, 3), range(num_samples)), shape), alone)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_flat_draw_has_the_numbers_of_a_shaped_one(draw):
    shaped, flat = draw(Rng(AXES, (7, 3)), (2, 3, 4)), draw(Rng(AXES, (7, 3)), (24,))
    assert torch.equal(shaped.flatten(1), flat)


@pytest.mark.parametrize("samples", [range(0), range(2, 6)])
@pytest.mark.parametrize("shape", [(), (4,), (4, 3, 2), (2,)])
@pytest.mark.parametrize("at_once", [1, 60, 10_000])
def test_steps_are_the_draws_one_after_another(samples, shape, at_once, monkeypatch):
    monkeypatch.setattr("bench.core.rng.AT_ONCE", at_once)
    together, apart = Rng(AXES, (7, 3), samples), Rng(AXES, (7, 3), samples)
    pairs = [(together, apart)] + ([(together.per_sample, apart.per_sample)] if samples else [])
    for in_steps, one_by_one in pairs:
        steps = list(in_steps.steps(4, shape))
        assert len(steps) == 4
        for step in steps:
            assert torch.equal(step, one_by_one.randn(shape))
        assert torch.equal(in_steps.rand((4,)), one_by_one.rand((4,)))


def test_draws_of_the_samples_leave_the_stream_of_the_measurement_where_it_was():
    both, alone = Rng(AXES, (7, 3), range(6)), Rng(AXES, (7, 3))
    both.per_sample.randn((9, 2))
    assert torch.equal(both.randn((9, 2)), alone.randn((9, 2)))


def test_the_samples_streams_in_one_row_are_an_rng():
    rng, flat = Rng(AXES, (7, 3), range(2, 5)), Rng(AXES, (7, 3), range(2, 5)).per_sample.flat
    assert len(rng.per_sample) == 3 and len(flat) == 6
    assert torch.equal(flat.randn((1, 4)).view(2, 3, 1, 4), rng.per_sample.randn((1, 4)))
    # both have advanced
    assert torch.equal(flat.randn((1,)).view(2, 3, 1), rng.per_sample.randn((1,)))


def test_without_samples_there_is_nothing_to_draw_per_sample():
    with pytest.raises(
        ValueError, match=r"no posterior samples; make it as Rng\(..., samples=range\(s\)\)"
    ):
        Rng(AXES, (7,)).per_sample.randn((2,))


@pytest.mark.parametrize("samples", [range(0), range(2, 5)])
def test_only_advances_the_same_streams(samples):
    together, apart = Rng(AXES, (7, 3, 11), samples), Rng(AXES, (7, 3, 11), samples)
    for shape in [(3, 2), (4,), ()]:
        whole = together.randn(shape)
        each = together.per_sample.randn(shape) if samples else None
        for i in (2, 0, 1):
            alone = apart.only(i)
            assert len(alone) == 1 and alone.ids == (apart.ids[i],)
            assert torch.equal(alone.randn(shape), whole[i : i + 1])
            assert each is None or torch.equal(alone.per_sample.randn(shape), each[i : i + 1])


def test_different_names_give_different_streams():
    rngs = [
        Rng(AXES, (7,)),
        Rng(AXES, (8,)),
        Rng((*AXES[:-1], 1), (7,)),
        Rng(("reference", *AXES[1:]), (7,)),
        Rng(AXES, (7,), range(4)).per_sample.flat,
        Rng(AXES, (7,), range(4, 8)).per_sample.flat,
    ]
    draws = torch.cat([rng.randn((4,)).flatten() for rng in rngs])
    # 48 different normal numbers in 53 bits: an accidental tie has probability 1e-13
    assert draws.unique().numel() == draws.numel()
    assert stream("noise", 1).random() == stream("noise", 1).random() != stream("noise", 2).random()


def test_consecutive_draws_differ():
    rng = Rng(AXES, (7,), range(3))
    assert rng.randn((3, 2)).ne(rng.randn((3, 2))).all()
    assert rng.per_sample.randn((2,)).ne(rng.per_sample.randn((2,))).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_dtype(dtype):
    rng = Rng(AXES, (7, 3), dtype=dtype)
    assert rng.randn((2,)).dtype == rng.rand((2,)).dtype == dtype
    assert rng.randint(5, (2,)).dtype == torch.int64


def test_moments_and_ranges():
    # 20 measurements of 50 samples with 100 draws each: 1000 streams. A mean of n draws is off by more than
    # 5 standard errors once in 2 million times.
    n = 100_000
    rng = Rng(("moments",), range(20), range(50)).per_sample
    normal, uniform, integers = rng.randn((100,)), rng.rand((100,)), rng.randint(6, (100,))
    assert normal.mean().abs() < 5 / n**0.5
    assert (normal.square().mean() - 1).abs() < 5 * (2 / n) ** 0.5  # Var z^2 = 2
    assert (normal.pow(4).mean() - 3).abs() < 5 * (96 / n) ** 0.5  # Var z^4 = 105 - 9
    assert uniform.min() >= 0 and uniform.max() < 1
    assert (uniform.mean() - 0.5).abs() < 5 * (1 / 12 / n) ** 0.5
    assert integers.unique().tolist() == list(range(6))
    counts = integers.flatten().bincount() / n
    assert (counts - 1 / 6).abs().max() < 5 * (5 / 36 / n) ** 0.5
    # the streams are uncorrelated with each other: 1000 x 999 / 2 correlations of 100 draws each, variance 1 / 100
    correlation = torch.corrcoef(normal.flatten(0, 1)).fill_diagonal_(0)
    assert correlation.abs().max() < 7 / 100**0.5
    # 5 standard errors
    assert correlation.square().sum() / (1000 * 999) == pytest.approx(1 / 99, rel=0.01)


def test_the_streams_of_published_numbers_have_not_moved():
    # numpy may one day draw normal numbers in another way (its NEP 19): all results move then, and here it shows
    assert stream("noise", "gmm-denoise", 17).integers(1 << 32, size=2).tolist() == [
        1639070064,
        3864399300,
    ]
    assert Rng(("a",), (1,)).randn((2,))[0].tolist() == [0.2426244066194128, -1.2276717542807014]
    assert Rng(("a",), (1,), range(2, 4)).per_sample.rand(())[0].tolist() == [
        0.08883640128500403,
        0.09201950720096608,
    ]


def test_what_measurements_share_does_not_depend_on_which_they_are():
    few, many = Rng(("reference", "a"), (3,)), Rng(("reference", "a"), range(5), range(2))
    assert torch.equal(few.shared("bank").randn((4,)), many.shared("bank").randn((4,)))
    others = (few.shared("step"), Rng(("reference", "b"), (3,)).shared("bank"), few)
    for other in others:
        assert not torch.equal(other.randn((4,)), many.shared("bank").randn((4,)))
