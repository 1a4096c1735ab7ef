"""Networks: what they map, how they begin, how wide they are, what they refuse."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from scipy.special import expit
from torch import Tensor, nn

from tests.linear import same
from zoo import IWAE, VAE
from zoo.errors import ZooError
from zoo.networks import MLP, ConvDecoder, ConvEncoder, GatedMLP, Network, Shape
from zoo.networks.convolution import ResidualBlock, halved_sizes
from zoo.testing import check_model

K, B = 3, 7
IMAGES = [(3, 9, 11), (1, 8, 8), (1, 28, 20)]

SMALL = {"channels": [4, 6], "hidden": [12], "activation": nn.SiLU}
NETWORKS: dict[str, tuple[type, Shape, Shape, dict[str, Any]]] = {
    "affine": (MLP, (1, 5, 3), (2, 4), {"hidden": []}),
    "mlp": (MLP, (1, 5, 3), (2, 4), {"hidden": [8, 3]}),
    "gated-affine": (GatedMLP, (1, 5, 3), (2, 4), {"hidden": []}),
    "gated": (GatedMLP, (1, 5, 3), (2, 4), {"hidden": [8, 3]}),
    "encoder": (ConvEncoder, (3, 9, 11), (2, 4), SMALL),
    "encoder-residual": (ConvEncoder, (2, 13, 8), (2, 4), SMALL | {"residual_blocks": 2}),
    "encoder-undense": (ConvEncoder, (1, 10, 9), (5,), {"channels": (3,), "hidden": ()}),
    "decoder": (ConvDecoder, (4,), (2, 3, 9, 11), SMALL),
    "decoder-residual": (ConvDecoder, (4,), (1, 2, 13, 8), SMALL | {"residual_blocks": 2}),
    "decoder-undense": (ConvDecoder, (2, 2), (3, 1, 10, 9), {"channels": (3,), "hidden": ()}),
}


def trained(name: str) -> Network:
    """A network none of whose parameters stands where it began."""
    cls, in_shape, out_shape, own = NETWORKS[name]
    network = cls(in_shape, out_shape, **own)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


# --- every network


@pytest.mark.parametrize("leading", [(), (B,), (K, B), (2, K, B)])
@pytest.mark.parametrize("name", NETWORKS)
def test_each_input_is_mapped_by_itself_whatever_axes_lead(name: str, leading: tuple[int, ...]) -> None:
    network = trained(name)
    x = torch.randn(*leading, *network.in_shape)
    y = network(x)
    assert y.shape == (*leading, *network.out_shape)
    one_by_one = torch.stack([network(one) for one in x.reshape(-1, *network.in_shape)])
    assert len(one_by_one.unique(dim=0)) == len(one_by_one)
    same(y.reshape(-1, *network.out_shape), one_by_one)


@pytest.mark.parametrize("name", NETWORKS)
def test_16_bits_lose_no_more_than_their_digits(name: str) -> None:
    network = trained(name).float()
    x = torch.randn(K, B, *network.in_shape, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(x)
        one_by_one = torch.stack([network(one) for one in x.reshape(-1, *network.in_shape)])
    tolerance = 0.04 * network(x).abs().max().item()
    same(rounded.float(), network(x), tolerance)
    same(rounded.reshape(one_by_one.shape).float(), one_by_one.float(), tolerance)


@pytest.mark.parametrize("name", NETWORKS)
def test_only_an_untrained_network_is_started(name: str) -> None:
    cls, in_shape, out_shape, own = NETWORKS[name]
    network = cls(in_shape, out_shape, **own)
    first = torch.randn(out_shape)
    for output in (first, torch.randn(out_shape)):
        network.start_at(output)
        same(network(torch.zeros(B, *in_shape)), first.expand(B, *out_shape))


@pytest.mark.parametrize("wide", ["channels", "hidden", "none"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_width_is_that_of_the_widest_layer(name: str, wide: str) -> None:
    cls, in_shape, out_shape, own = NETWORKS[name]
    network = cls(in_shape, out_shape, **own | {wide: [40 * n for n in own[wide]]} if wide in own else own)
    held = [256, math.prod(in_shape), math.prod(out_shape)]
    for module in network.modules():
        module.register_forward_hook(lambda module, given, made: held.append(made.numel()))
    network(torch.randn(in_shape))
    assert network.width == max(held)


@pytest.mark.parametrize("cls", [MLP, GatedMLP, partial(ConvEncoder, in_shape=(1, 8, 8))])
def test_a_layer_without_units_is_refused(cls: Any) -> None:
    with pytest.raises(ZooError, match=r"hidden is \[5, 0\], where widths of at least 1 were expected"):
        cls(**{"in_shape": (3,), "out_shape": (4,), "hidden": [5, 0]} | getattr(cls, "keywords", {}))


# --- perceptrons


def test_an_mlp_begins_with_glorots_weights_and_zero_biases() -> None:
    network = MLP((1, 28, 28), (2, 50), hidden=[200, 100], activation=nn.ReLU)
    kinds = [type(layer) for layer in network.layers]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]  # nothing after the last
    for layer, widths in zip(network.layers[::2], [(784, 200), (200, 100), (100, 100)], strict=True):
        assert layer.weight.shape == widths[::-1]
        limit, n = math.sqrt(6 / sum(widths)), layer.weight.numel()
        assert 0.999 * limit < layer.weight.abs().max() <= limit
        squares = (layer.weight / limit).detach().square()  # of a uniform number: mean 1/3, variance 4/45
        assert abs(squares.mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / n)
        assert not layer.bias.any()


def test_the_weights_of_an_mlp_keep_their_names() -> None:
    """Checkpoints hold them by these."""
    names = [f"layers.{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")]
    assert list(MLP((3,), (2,), hidden=[5, 4]).state_dict()) == names


def test_a_gated_mlp_multiplies_each_unit_by_its_gate() -> None:
    network, x = trained("gated"), torch.randn(B, 1, 5, 3)
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    h = x.flatten(1).numpy()
    for layer, width in (("layers.0", 8), ("layers.2", 3)):
        w, b = state[layer + ".weight"], state[layer + ".bias"]
        h = (h @ w[:width].T + b[:width]) * expit(h @ w[width:].T + b[width:])
    expected = h @ state["layers.4.weight"].T + state["layers.4.bias"]
    same(network(x), torch.as_tensor(expected).view(B, 2, 4))


def test_a_gated_mlp_begins_with_hes_weights_and_zero_biases() -> None:
    network = GatedMLP((784,), (2, 40), hidden=[300, 200])
    shapes = [(600, 784), (400, 300), (80, 200)]
    for layer, shape in zip(network.layers[::2], shapes, strict=True):
        assert layer.weight.shape == shape
        _assert_normal(layer.weight, variance=2 / shape[1])
        assert not layer.bias.any()


# --- convolutions


def _assert_normal(weight: Tensor, variance: float) -> None:
    """Asserts the mean and the variance to four standard errors."""
    n = weight.numel()
    assert abs(weight.mean()) < 4 * math.sqrt(variance / n)
    assert abs(weight.var() / variance - 1) < 4 * math.sqrt(2 / n)


def test_convolutions_begin_with_hes_weights_and_zero_biases() -> None:
    """Of the 16 weights of a transposed kernel an output pixel of the inside meets 4."""
    encoder = ConvEncoder((3, 16, 16), (2, 4), channels=[30, 50], residual_blocks=1)
    decoder = ConvDecoder((4,), (2, 3, 16, 16), channels=[50, 30], residual_blocks=1)
    for network, met in ((encoder, 9), (decoder, 4)):
        for name, parameter in network.named_parameters():
            if name.startswith("stages"):
                assert not (parameter.ndim == 1 and parameter.any())
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.stride == (2, 2):
                _assert_normal(layer.weight, variance=2 / (met * layer.in_channels))


def test_a_transposed_convolution_keeps_the_mean_square_of_what_it_is_given() -> None:
    """What He's weights are for: half of the units of a rectifier hold all of its mean square."""
    last = ConvDecoder((4,), (1, 600, 16, 16), channels=[80]).stages[-1]
    h = torch.randn(B, 80, 8, 8)
    inside = last(h)[..., 1:-1, 1:-1]
    assert inside.square().mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU])
def test_a_residual_block_adds_two_convolutions_and_begins_as_the_identity(activation: type[nn.Module]) -> None:
    block, h = ResidualBlock(5, activation), torch.randn(B, 5, 4, 3)
    same(block(h), h)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    (w1, b1), (w2, b2) = ((layer.weight, layer.bias) for layer in block.modules() if isinstance(layer, nn.Conv2d))
    a, conv = activation(), partial(nn.functional.conv2d, padding=1)
    same(block(h), h + conv(a(conv(a(h), w1, b1)), w2, b2))


@pytest.mark.parametrize("residual_blocks", [0, 2])
def test_a_stage_is_its_blocks_and_the_activation_after_or_before_a_convolution(residual_blocks: int) -> None:
    own: dict[str, Any] = {"channels": [3, 4], "residual_blocks": residual_blocks, "activation": nn.SiLU}
    blocks = residual_blocks * [ResidualBlock]
    encoder = ConvEncoder((1, 9, 8), (2,), **own)
    assert [type(layer) for layer in encoder.stages] == 2 * [nn.Conv2d, *blocks, nn.SiLU]
    decoder = ConvDecoder((2,), (1, 1, 9, 8), **own)
    for stage in decoder.stages:
        assert [type(layer) for layer in stage] == [*blocks, nn.SiLU, nn.ConvTranspose2d]
    assert [stage[-1].bias is None for stage in decoder.stages] == [False, True]  # each output number has its own


def test_an_odd_image_is_an_even_one_without_its_last_row_and_column() -> None:
    even, odd = (ConvDecoder((4,), (1, 2, *size), channels=[3]) for size in ((14, 16), (13, 15)))
    shared = {name: value for name, value in even.state_dict().items() if name != "bias"}
    odd.load_state_dict(shared, strict=False)
    x = torch.randn(B, 4)
    same(odd(x), even(x)[..., :13, :15])


def test_an_encoder_sees_every_pixel_and_a_decoder_reaches_each_alike() -> None:
    """No checkerboard: with equal weights an even image comes out flat but for its border."""
    encoder = ConvEncoder((2, 9, 11), (3,), channels=[4, 5], activation=nn.SiLU)
    x = torch.randn(2, 9, 11, requires_grad=True)
    encoder(x).sum().backward()
    assert x.grad is not None and x.grad.all()
    decoder = ConvDecoder((2,), (1, 1, 13, 16), channels=[4])
    nn.init.constant_(decoder.stages[0][-1].weight, 0.1)
    flat = decoder.stages[0](torch.ones(1, 4, 7, 8))[..., 1:-1, 1:-1]
    same(flat, 4 * 4 * 0.1)


def test_a_decoder_mirrors_its_encoder() -> None:
    encoder = ConvEncoder((3, 21, 9), (2, 4), channels=[6, 7, 8])
    decoder = ConvDecoder((4,), (1, 3, 21, 9), channels=[8, 7, 6])
    assert encoder.head.in_shape == decoder.foot.out_shape == (8, 3, 2)
    sizes: list[tuple[int, ...]] = []
    for stage in encoder.stages[::2]:
        stage.register_forward_hook(lambda module, given, made: sizes.append(tuple(given[0].shape[1:])))
    encoder(torch.randn(3, 21, 9))
    for stage in decoder.stages:
        stage.register_forward_hook(lambda module, given, made: sizes.append(tuple(given[0].shape[1:])))
    decoder(torch.randn(4))
    assert sizes == [(3, 21, 9), (6, 11, 5), (7, 6, 3), (8, 3, 2), (7, 6, 3), (6, 11, 5)]


@pytest.mark.parametrize("height", range(8, 35))
def test_sizes_halve_as_convolutions_do(height: int) -> None:
    h = torch.zeros(1, 1, height, height + 3)
    for size in halved_sizes((1, height, height + 3), [1, 1, 1], residual_blocks=0):
        assert size == tuple(h.shape[2:])
        h = nn.functional.conv2d(h, torch.zeros(1, 1, 3, 3), stride=2, padding=1)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("residual_blocks", [0, 2])
def test_an_untrained_posterior_lies_near_the_prior(image: Shape, residual_blocks: int) -> None:
    h = ConvEncoder(image, (2, 50), residual_blocks=residual_blocks)(torch.rand(B, *image))
    mean, log_std = h.abs().unbind(-2)
    for part in (mean, log_std):
        assert part.mean() < 1 and part.max() < 4


def convolutional(residual_blocks: int) -> dict[str, Any]:
    own: dict[str, Any] = {"channels": [3, 2], "hidden": [4], "residual_blocks": residual_blocks}
    return {"encoder": partial(ConvEncoder, **own), "decoder": partial(ConvDecoder, **own | {"activation": nn.SiLU})}


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("residual_blocks", [0, 2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_convolutional_networks_keep_the_contract(dtype: torch.dtype, residual_blocks: int, image: Shape) -> None:
    """At a weight under which the VAE has no bound: to check one takes 20,000 draws."""
    torch.set_default_dtype(dtype)
    x = torch.rand(4, *image).round()
    check_model(VAE, x, kl_weight=0.5, latent_dim=2, k=2, **convolutional(residual_blocks))


@pytest.mark.parametrize(
    ("cls", "residual_blocks", "image"), [(IWAE, 0, (3, 9, 11)), (IWAE, 2, (1, 8, 8)), (VAE, 2, (1, 8, 8))]
)
def test_the_bound_of_convolutional_networks_is_one(cls: type[VAE], residual_blocks: int, image: Shape) -> None:
    check_model(cls, torch.rand(4, *image).round(), latent_dim=2, k=2, **convolutional(residual_blocks))


@pytest.mark.parametrize("cls", [VAE, IWAE])
def test_gated_networks_keep_the_contract(cls: type[VAE]) -> None:
    part = partial(GatedMLP, hidden=[6, 4])
    check_model(cls, torch.rand(4, 3, 9, 11).round(), latent_dim=2, k=2, encoder=part, decoder=part)


def encoder_of(shape: Shape, **own: Any) -> Network:
    return ConvEncoder(shape, (2, 4), **own)


def decoder_of(shape: Shape, **own: Any) -> Network:
    return ConvDecoder((4,), (2, *shape), **own)


@pytest.mark.parametrize("make", [encoder_of, decoder_of])
@pytest.mark.parametrize(
    ("shape", "own", "complaint"),
    [
        ((784,), {}, r"takes images \(C, H, W\) and was given the shape \(784,\): take MLP"),
        ((), {}, r"takes images \(C, H, W\) and was given the shape \(\): take MLP"),
        ((2, 3, 8, 8), {}, r"takes images \(C, H, W\) and was given the shape \(2, 3, 8, 8\)"),
        ((1, 28, 7), {}, "takes images from 8 × 8 and was given 28 × 7: take MLP"),
        ((1, 28, 28), {"channels": []}, r"channels is \[\] .* at least one stage"),
        ((1, 28, 28), {"channels": [3, 0]}, r"channels is \[3, 0\] .* at least 1 channel"),
        ((1, 28, 28), {"residual_blocks": -1}, r"residual_blocks is -1: .* 0 or more blocks"),
        ((1, 8, 8), {"channels": [2] * 4}, "4 stages, where an image of 8 × 8 is down to one pixel after 3"),
        ((1, 9, 33), {"channels": [2] * 7}, "7 stages, where an image of 9 × 33 is down to one pixel after 6"),
    ],
)
def test_what_is_no_image_and_no_stage_is_refused(make: Any, shape: Shape, own: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ZooError, match=complaint):
        make(shape, **own)


def test_an_image_may_be_halved_down_to_one_pixel() -> None:
    channels = [2] * 6
    x = torch.randn(B, 1, 9, 33)
    code = ConvEncoder((1, 9, 33), (4,), channels)(x)
    assert ConvDecoder((4,), (2, 1, 9, 33), channels)(code).shape == (B, 2, 1, 9, 33)
