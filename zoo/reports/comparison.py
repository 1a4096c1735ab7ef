"""The report of finished runs: models side by side, what differs between them, and by how much more than noise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from zoo import Proposal
from zoo.figures.mosaics import is_image
from zoo.figures.style import STYLE
from zoo.files import made_folder
from zoo.reports import figures
from zoo.reports.finished import FinishedRun
from zoo.reports.groups import Group, compared, groups
from zoo.reports.measured import Measured, measured
from zoo.reports.page import Section, Shown, Table, write_page
from zoo.reports.paired import Estimate, holm, with_spread

CURVE = "val/elbo"
"""What the learning curves show: one estimator for every model."""

COLUMNS = {
    "elbo": "ELBO",
    "elbo_mc": "ELBO",
    "kl": "KL term",
    "kl_mc": "KL term",
    "log_px": "E log p(x|z)",
    "active_units": "active units",
    "ais_log_likelihood": "AIS",
    "variance": "σ²",
}
"""The numbers of the tests that stand side by side, by their logged names."""


def write_report(
    runs: Sequence[FinishedRun],
    folder: Path,
    k: int = 1000,
    n_images: int = 500,
    proposal: Proposal | None = None,
    progress: bool = False,
) -> Path:
    """Writes the report of finished runs.

    Args:
        runs: The runs.
        folder: Where `index.html`, `report.md` and `figures/` go.
        k: The draws of the log-likelihood that models are compared by.
        n_images: How many test images are taken.
        proposal: What z is drawn from, for all models; by default q(z|x), which leaves out models without an encoder.
        progress: Whether bars are shown.

    Returns:
        The path of the page.
    """
    made_folder(folder)  # before anything is measured
    models = compared(runs)
    ks = [*(10**i for i in range(9) if 10**i < k), k]
    with matplotlib.rc_context(STYLE):
        sections = [
            _group_section(measured(group, ks, n_images, proposal, progress), k, number, proposal)
            for number, group in enumerate(groups(models), 1)
        ]
        sections.append(_facts(runs))
    lead = (
        f"{len(models)} models, {len(runs)} runs. Log-likelihoods are compared within the parts below, where data, "
        "pixels and measure are the same, and never across them. All are in nats an image unless another unit is "
        "named; ± and intervals are of 95 %."
    )
    return write_page(folder, "Runs beside each other", lead, sections)


def _group_section(found: Measured, k: int, number: int, proposal: Proposal | None) -> Section:
    group = found.group
    parts = [_side_by_side(found, k, number), _paired(found, k, number), _curves(group, number)]
    if any("kl_per_dimension" in model.runs[0].report["details"] for model in group.models):
        parts.append(_posteriors(group, number))
    if is_image(found.x):
        caption = "The same test images, what each model makes of their codes, and means of p(x|z) for its own draws."
        shown = Shown(f"images-{number}", figures.images(group.models, found.x[:10]), caption)
        parts.append(Section(f"Images ({number})", figures=[shown]))
    text = f"Measured on {len(found.x)} test images, those of the smallest hashes."
    if proposal is not None:
        text += f" z is drawn from the {proposal.name} proposal for all models."
    if found.left_out:
        text += (
            f" {', '.join(found.left_out)} has no encoder: with draws of the prior L_k lies far below log p(x), so it "
            "is not compared here. `--refit_epochs` gives all models a fresh encoder, and so a fair number."
        )
    return Section(f"{number}. {group.title}", text, sections=parts)


def _side_by_side(found: Measured, k: int, number: int) -> Section:
    models = found.group.models
    columns = {
        name: head for name, head in COLUMNS.items() if any(name in run.test for model in models for run in model.runs)
    }
    heads = list(dict.fromkeys(["model", "seeds", f"L_{k}", *columns.values()]))
    rows = []
    for model in models:
        cells = {"model": model.label, "seeds": ", ".join(map(str, model.seeds))}
        if model.label in found.estimates:
            each = found.estimates[model.label][k]
            cells[f"L_{k}"] = f"{each.mean:.2f} ± {each.half_width:.2f}"
        for name, head in columns.items():
            values = [run.test[name] for run in model.runs if run.test.get(name) is not None]
            if values:
                prior = " (prior proposal)" if model.runs[0].report["proposal"] == "prior" and "elbo" in name else ""
                cells[head] = with_spread(values) + prior
        rows.append([cells.get(head, "n/a") for head in heads])
    caption = (
        f"L_{k}: mean over images and seeds, with the error of both (of images alone where there is one seed). The "
        "other columns are the numbers of each run's own test: a mean over seeds, ± their standard deviation."
    )
    over_k = figures.over_k(models, found.estimates)
    shown = Shown(f"over-k-{number}", over_k, "L_k over k, of the same images. The bars are mostly what images differ "
                  "by: models are compared below, image by image. A line that still rises at its end has not reached "
                  "log p(x).")  # fmt: skip
    tables = [Table(heads, rows, caption)]
    return Section(f"Side by side ({number})", tables=tables, figures=[shown] if found.values else [])


def _paired(found: Measured, k: int, number: int) -> Section:
    pairs = found.pairs(k)
    if not pairs:
        return Section(f"Differences ({number})", "There are no two models to compare.")
    decided = holm([each.p_value for each in pairs.values()])
    rows = [
        [name, f"{each.mean:+.2f}", f"{each.low:+.2f} to {each.high:+.2f}", str(each.n_seeds), _verdict(each, clear)]
        for (name, each), clear in zip(pairs.items(), decided, strict=True)
    ]
    among = f" among all {len(pairs)} by Holm's correction at 5 %" if len(pairs) > 1 else ", at 5 %"
    text = (
        f"The difference of L_{k}, image by image and, where both have the same seeds, seed by seed; the error is that "
        "of images and seeds together, the interval that of Student's t with Satterthwaite's degrees of freedom. "
        f"Larger than its noise is what is not 0{among}."
    )
    table = Table(["first − second", "nats", "95 % interval", "seeds", "larger than its noise"], rows)
    shown = Shown(f"differences-{number}", figures.differences(pairs, decided), "Filled: larger than its noise.")
    return Section(f"Differences ({number})", text, [table], [shown])


def _verdict(each: Estimate, clear: bool) -> str:
    if each.n_seeds == 1:
        return "of these two runs " + ("yes" if clear else "no") + "; of the models not decided: one seed"
    return "yes" if clear else "no"


def _curves(group: Group, number: int) -> Section:
    title = f"Learning curves ({number})"
    timed = [m for m in group.models if all("images_per_second" in r.report for r in m.runs)]
    if not timed:
        return Section(title, "These runs were tested apart from their training: no rates.")
    encoded = [m for m in timed if m.models[0].has_encoder]
    caption = (
        f"`{CURVE}`, matched by epochs, by images that the decoder made, and by seconds of training (each run's mean "
        "rate, validation apart)."
    )
    if encoded and len(encoded) < len(timed):
        caption += " Left out are models without an encoder, whose bound is one of draws of the prior."
    figure = figures.learning_curves(encoded or timed, CURVE)
    return Section(title, figures=[Shown(f"curves-{number}", figure, caption)])


def _posteriors(group: Group, number: int) -> Section:
    spectra = Shown(f"kl-{number}", figures.kl_spectra(group.models), "KL term by latent dimension; a line a seed.")
    caption = "Variances of q(z|x) over images and dimensions, of the first seed: active ones and others."
    variances = Shown(f"variances-{number}", figures.posterior_variances({m.label: m for m in group.models}), caption)
    return Section(f"Posteriors ({number})", figures=[spectra, variances])


def _facts(runs: Sequence[FinishedRun]) -> Section:
    rows = [[f"`{run.folder}`", *map(str, _run_facts(run.report, run.config))] for run in runs]
    heads = ["run", "seed", "epochs", "steps", "images/s", "torch", "device", "threads", "ranks"]
    return Section("The runs", "Each folder holds its whole `config.yaml`.", [Table(heads, rows)])


def _run_facts(report: Mapping[str, Any], config: Mapping[str, Any]) -> list[Any]:
    hardware = report["hardware"]
    return [
        config["seed_everything"],
        report.get("epochs", "n/a"),
        report["steps"],
        report.get("images_per_second", "n/a"),
        report["versions"]["torch"],
        hardware["device"],
        hardware["threads"],
        hardware["ranks"],
    ]
