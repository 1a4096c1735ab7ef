"""What stands in a picture, and where."""

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.stats import norm
from torch import Tensor

from callbacks.pictures.dashboard import dashboard
from callbacks.pictures.decoded import STEPS, decoded_grid, interpolations, reconstructions, samples, traversals
from callbacks.pictures.plane import latent_plane
from tests.linear import same
from tests.small import SHAPE, SmallImages, small_model
from zoo import CouplingFlow, FullGaussian, MixtureOfGaussians
from zoo.figures.mosaics import in_rows, mosaic
from zoo.metrics import Binned
from zoo.paths import mean_and_spread
from zoo.planes import principal_plane


def whole_split() -> Tensor:
    return (SmallImages().splits.test.images / 255.0).double()


def cell(figure: Figure, row: int, column: int, gap: int = 1, axes: int = 0) -> Tensor:
    """The image in a place of a mosaic, (H, W)."""
    h, w = SHAPE[1:]
    pixels = np.asarray(figure.axes[axes].images[0].get_array())
    top, left = row * (h + gap), column * (w + gap)
    return torch.as_tensor(pixels[top : top + h, left : left + w])


def close(a: Tensor, b: Tensor) -> None:
    """Images are drawn in single precision."""
    same(a.double(), b.detach().reshape(a.shape).double(), 1e-6)


def words(labels: Any) -> list[str]:
    return [label.get_text() for label in labels]


def test_a_mosaic_has_every_image_in_its_place() -> None:
    images = torch.rand(7, 3, *SHAPE[1:]) * 3 - 1
    found = mosaic(in_rows(images, 4), gap=2)
    assert found.shape == (2 * 5 + 2, 4 * 4 + 3 * 2, 3)
    for i, image in enumerate(images):
        top, left = i // 4 * 7, i % 4 * 6
        close(torch.as_tensor(found[top : top + 5, left : left + 4]), image.permute(1, 2, 0).clamp(0, 1))
    assert (found[5:7] == 1).all() and (found[7:, 18:] == 1).all()  # gaps, and the place that is left


def test_samples_are_those_of_the_seed() -> None:
    model = small_model("bernoulli")
    figure = samples(model, n=12, seed=5)
    for axes, mean in enumerate((True, False)):
        torch.manual_seed(5)
        expected = model.sample(12, mean)
        close(cell(figure, 0, 3, axes=axes), expected[3])
        close(cell(figure, 1, 1, axes=axes), expected[11])


def test_reconstructions_stand_below_their_inputs() -> None:
    model, x = small_model("bernoulli"), whole_split()
    figure = reconstructions(model, x)
    decoded = model.reconstruct(x)
    for i in (0, 9, 12):
        close(cell(figure, 0, i % 10, axes=i // 10), x[i])
        close(cell(figure, 1, i % 10, axes=i // 10), decoded[i])


@pytest.mark.parametrize("posterior", [None, FullGaussian, CouplingFlow])
def test_interpolations_lead_from_one_reconstruction_to_the_other(posterior: Any) -> None:
    options = {"closed_form_kl": False} if posterior is CouplingFlow else {}
    model = small_model("bernoulli", **({"posterior": posterior} | options if posterior else {}))
    x = whole_split()[:5]
    figure, decoded = interpolations(model, x), model.reconstruct(x)
    assert figure.axes[0].images[0].get_array().shape[0] == 2 * 6 - 1  # of five images two pairs
    for i in range(2):
        close(cell(figure, i, 0), x[2 * i])
        close(cell(figure, i, 2), decoded[2 * i])
        close(cell(figure, i, STEPS + 1), decoded[2 * i + 1])
        close(cell(figure, i, STEPS + 3), x[2 * i + 1])


def test_traversals_have_the_active_units_in_order() -> None:
    model, x = small_model("bernoulli"), whole_split()[0]
    figure = traversals(model, x, torch.tensor([0.3, 0.001, 0.7]), threshold=0.01)
    assert words(figure.axes[0].get_yticklabels()) == ["input, decoded", "unit 3:  0.70", "unit 1:  0.30"]
    assert words(figure.axes[0].get_xticklabels())[:2] == ["−3", "−2.5"]
    z = model.codes(x[None])[0]
    for row, u in ((1, 2), (2, 0)):
        for column, value in ((0, -3.0), (7, 0.5), (STEPS - 1, 3.0)):
            moved = z.clone()
            moved[u] = value
            close(cell(figure, row, column), model.decode(moved).mean)


@pytest.mark.parametrize("prior", [None, MixtureOfGaussians])
def test_the_decoded_grid_is_that_of_the_quantiles(prior: Any) -> None:
    own = {"prior": prior, "closed_form_kl": False} if prior else {}
    model = small_model("bernoulli", latent_dim=2, **own)
    mean, spread = (m.detach() for m in mean_and_spread(model.prior()))
    figure = decoded_grid(model)
    for row, column in ((0, 0), (3, 11), (19, 19)):
        levels = np.array([(column + 0.5) / 20, (19.5 - row) / 20])  # up is up
        z = mean + spread * torch.as_tensor(norm.ppf(levels))
        close(cell(figure, row, column, gap=0), model.decode(z).mean)


def dots(axes: Axes) -> Tensor:
    return torch.as_tensor(np.asarray(axes.collections[0].get_offsets()))


def test_the_latent_plane_is_the_codes_themselves_where_there_are_two() -> None:
    codes, y = torch.randn(13, 2), torch.arange(13) % 3
    figure = latent_plane(codes, y, circles=True)
    axes = figure.axes[0]
    same(dots(axes), codes)
    assert axes.get_xlabel() == "$z_1$"
    legend = axes.get_legend()
    assert legend is not None
    assert words(legend.get_texts())[:3] == ["0", "1", "2"]
    colours = [to_hex(colour) for colour in axes.collections[0].get_facecolors()]
    assert all((colours[i] == colours[j]) == (y[i] == y[j]) for i in range(13) for j in range(13))
    radius = np.hypot(*axes.lines[1].get_data()).max()  # the second circle
    assert 1 - np.exp(-(radius**2) / 2) == pytest.approx(0.95)


def test_the_latent_plane_of_more_units_has_their_components_and_the_prior_in_its_place() -> None:
    codes = torch.randn(13, 4) + 7
    figure = latent_plane(codes, torch.full((13,), -1), circles=True)
    axes, plane = figure.axes[0], principal_plane(codes)
    same(dots(axes), plane.project(codes))
    assert f"{plane.share[1]:.1%}" in axes.get_ylabel()
    centre = torch.as_tensor(np.asarray(axes.lines[0].get_data()))[:, :-1].mean(1)
    same(centre, plane.project(torch.zeros(4)), 0.05)
    assert len({to_hex(colour) for colour in axes.collections[0].get_facecolors()}) == 1


def test_many_classes_get_a_scale() -> None:
    figure = latent_plane(torch.randn(40, 2), torch.arange(40), circles=False)
    assert figure.axes[1].get_ylabel() == "label"
    assert figure.axes[0].get_legend() is None


FOUND = {
    "kl_per_dimension": [0.1, 2.0, 0.001],
    "kl_spectrum": [2.0, 0.1, 0.001],
    "variance_of_means": [0.5, 0.9, 0.0001],
    "active_units": 2.0,
    "log_likelihood/1": -9.0,
    "log_likelihood/10": -8.0,
    "log_likelihood/se": 0.5,
    "jvi1": -7.5,
}


def test_the_monitors_are_drawn_as_they_found() -> None:
    spectrum, likelihood = dashboard(FOUND, "a model").axes
    bars = {bar.get_x() + bar.get_width() / 2: bar for bar in spectrum.patches}
    assert [bars[place].get_height() for place in (1, 2, 3)] == [2.0, 0.1, 0.001]
    grey = [to_hex(bars[place].get_facecolor()) for place in (1, 2, 3)]
    assert grey[0] == grey[1] != grey[2]
    lines = {line.get_label(): line for line in likelihood.lines}
    (curve,) = (line for label, line in lines.items() if "standard error" in str(label))
    assert list(zip(*curve.get_data(), strict=True)) == [(1, -9.0), (10, -8.0)]
    assert list(lines["JVI-1, no bound"].get_data()[1]) == [-7.5]


def test_a_collapse_looks_like_one() -> None:
    flat = {"kl_per_dimension": [1e-5, 1e-6], "kl_spectrum": [1e-5, 1e-6]}
    (axes,) = dashboard(flat, "a model").axes[:1]
    assert axes.get_ylim() == (0, 0.1) and axes.get_legend() is None  # nobody has looked which units are active


@pytest.mark.parametrize("own", ["", "_prior_proposal", "_refitted_proposal"])
def test_an_estimate_and_its_weights_are_those_of_its_own_draws(own: str) -> None:
    found = {f"log_likelihood{own}/10": -8.0, f"log_likelihood{own}/se": 0.5, f"log_likelihood{own}_cut/se": 9.0}
    found |= {f"ess{own}/median": 3.25, f"khat{own}/above": 0.75}
    (axes,) = dashboard(found, "a model").axes[:1]
    legend = axes.get_legend()
    assert legend is not None and "3.25 of 10" in legend.get_title().get_text()
    assert "75%" in legend.get_title().get_text()
    assert own.replace("_", " ").strip() in legend.get_texts()[0].get_text()


def test_every_number_of_draws_has_a_tick() -> None:
    found = {"log_likelihood/20": -8.0, "log_likelihood/se": 0.5, "log_likelihood_cut/100": -8.0}
    (axes,) = dashboard(found, "a model").axes[:1]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["20", "100"]


def test_variances_and_information_are_drawn_as_found() -> None:
    edges = [-2.0, -1.0, 0.0, 1.0]
    found: dict[str, Any] = {
        "log_posterior_variance_active": Binned([3, 1, 0], edges),
        "log_posterior_variance_inactive": Binned([0, 0, 4], edges),
        "mutual_information": 2.5,
        "aggregate_kl": 1.5,
        "mutual_information/ceiling": 3.0,
    }
    variances, information = dashboard(found, "a model").axes
    active, both = (patch.get_data() for patch in variances.patches)
    assert active.values.tolist() == [0.375, 0.125, 0.0] and both.values.tolist() == [0.375, 0.125, 0.5]
    assert [(bar.get_x(), bar.get_width()) for bar in information.patches] == [(0, 2.5), (2.5, 1.5)]
