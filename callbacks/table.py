"""The table that a test ends with."""

import re
from typing import Any

from rich.table import Table

TERMS = {
    "objective": ("objective", ".2f"),
    "bound": ("bound", ".2f"),
    "elbo": ("ELBO", ".2f"),
    "elbo_mc": ("ELBO (KL from draws)", ".2f"),
    "kl": ("KL term", ".2f"),
    "kl_mc": ("KL term (from draws)", ".2f"),
    "log_px": ("E log p(x|z)", ".2f"),
    "variance": ("decoder variance σ²", ".4g"),
    "variance_at_floor": ("share of σ² at its floor", ".1%"),
    "squared_scale": ("decoder scale s²", ".4g"),
    "squared_scale_at_floor": ("share of s² at its floor", ".1%"),
    "df": ("degrees of freedom ν", ".4g"),
    "mutual_information": ("mutual information", ".2f"),
    "aggregate_kl": ("aggregate KL", ".2f"),
    "active_units": ("active units", ".0f"),
    "posterior_variance/active": ("posterior variance of active units", ".3g"),
    "competition/information": ("information in the shared draws", ".2f"),
    "competition/information/ceiling": ("its ceiling, log k", ".2f"),
    "code_quality/linear_probe": ("right by a linear probe of the codes", ".1%"),
    "code_quality/nearest_neighbours": ("right by the nearest codes", ".1%"),
}

WEIGHTS = {
    "ess/median": ("effective draws, median", ".1f"),
    "khat/median": ("Pareto k̂, median", ".2f"),
    "khat/above": ("images with k̂ above its threshold", ".1%"),
    "ais_log_likelihood": ("log-likelihood by AIS", ".2f"),
    "ais_ess/median": ("effective chains, median", ".1f"),
    "ais_acceptance": ("trajectories taken", ".1%"),
    "bdmc/lower": ("of simulated data, by AIS", ".2f"),
    "bdmc/gap": ("its gap to BDMC's upper bound", ".2f"),
}

OWNED = re.compile(r"(.+?)(?:_([^_]+)_proposal)?")
"""A name before its slash: of what, and whose draws it is made of where they are not the encoder's."""


def as_table(facts: dict[str, Any], metrics: dict[str, float]) -> Table:
    """Lays facts and metrics out as a table, in nats."""
    label = "" if facts["proposal"] == "encoder" else " (prior proposal)"
    title = f"{facts['model']} on {facts['data']}, test split, in nats an example"
    table = Table(title=title, min_width=len(title))
    table.add_column("what")
    table.add_column("value", justify="right")
    for name, (words, form) in TERMS.items():
        if name in metrics:
            table.add_row(words + (label if name.startswith("elbo") else ""), format(metrics[name], form))
    for row in _estimates(metrics):
        table.add_row(*row)
    for name in ("examples", "k", "pixels", "parameters", "epochs", "steps", "images_per_second"):
        if name in facts:
            value = facts[name]
            words = "steps behind these weights" if name == "steps" else name
            table.add_row(
                words.replace("_per_", "/").replace("_", " "),
                f"{value:,}" if isinstance(value, int) else value,
            )
    return table


def _estimates(metrics: dict[str, float]) -> list[tuple[str, str]]:
    """The rows of what estimates log p(x), and of the weights behind it; an error is that of its largest k."""
    rows = []
    for name, value in metrics.items():
        family, slash, k = name.partition("/")
        kind, whose = OWNED.fullmatch(family).groups()  # type: ignore[union-attr]
        label = f" ({whose} proposal)" if whose else ""
        if family.startswith("log_likelihood") and k.isdigit():
            largest = max((other for other in metrics if other.startswith(f"{family}/")), key=_draws)
            error = f" ± {metrics[f'{family}/se']:.2f}" if name == largest else ""
            cut = ", inactive units cut" if family.endswith("_cut") else ""
            rows.append((f"log-likelihood, k = {k}{label}{cut}", f"{value:.2f}{error}"))
        elif kind == "jvi1":
            rows.append((f"JVI-1, no bound{label}", f"{value:.2f}"))
        elif kind == "bits_per_dimension":
            rows.append((f"bits per dimension, k = {k}{label}", f"{value:.3f}"))
        elif kind + slash + k in WEIGHTS:
            words, form = WEIGHTS[kind + slash + k]
            error = f" ± {metrics[f'{name}/se']:.2f}" if f"{name}/se" in metrics else ""
            rows.append((words + label, format(value, form) + error))
    return rows


def _draws(name: str) -> int:
    """The number of draws that a name ends with, or 0."""
    k = name.rpartition("/")[2]
    return int(k) if k.isdigit() else 0
