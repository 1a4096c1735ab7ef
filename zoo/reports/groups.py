"""Which runs are seeds of one model, what its models are called, and which of them may be compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from zoo.reports.finished import FinishedRun

TRAINING = ("max_epochs", "max_steps", "max_time", "limit_train_batches", "accumulate_grad_batches",
            "gradient_clip_val", "precision")  # fmt: skip
"""What of a Trainer makes another model of it."""

NOT_MEASURED = ("batch_size", "eval_batch_size")
"""What of the data does not change what is measured on them."""

NOT_TRAINED = ("eval_batch_size",)
"""What of the data does not even change what is trained."""


@dataclass(frozen=True)
class Compared:
    """A model, trained with one or several seeds.

    Args:
        label: What it is called, beside the others of the report.
        runs: Its runs, a seed each, in the order of their seeds.
    """

    label: str
    runs: Sequence[FinishedRun] = field(repr=False)

    @property
    def seeds(self) -> list[Any]:
        """The seeds of its runs."""
        return [run.config["seed_everything"] for run in self.runs]

    @cached_property
    def models(self) -> list[Any]:
        """Its trained models, a seed each."""
        return [run.model() for run in self.runs]


@dataclass(frozen=True)
class Group:
    """Models whose log-likelihoods are of the same things: the same test examples and pixels, and the same measure.

    Args:
        title: What all have in common.
        models: The models.
    """

    title: str
    models: Sequence[Compared]


def settings(run: FinishedRun) -> dict[str, Any]:
    """What makes the model of a run, its seed apart, by names with dots."""
    config = run.config
    trainer = {name: config["trainer"].get(name) for name in TRAINING}
    data = {name: value for name, value in flat(config["data"], "data").items() if not _is_one(name, NOT_TRAINED)}
    return flat(config["model"], "model") | data | flat(trainer, "trainer")


def flat(spec: Any, name: str) -> dict[str, Any]:
    """A nested specification by names with dots, a class by its own name.

    Example:
        >>> flat({"class_path": "zoo.IWAE", "init_args": {"k": 5, "prior": {"class_path": "zoo.VampPrior"}}}, "model")
        {'model': 'IWAE', 'model.k': 5, 'model.prior': 'VampPrior'}
    """
    if not isinstance(spec, Mapping):
        return {name: spec}
    own, arguments = {}, spec
    if "class_path" in spec:
        own, arguments = {name: spec["class_path"].rpartition(".")[2]}, spec.get("init_args", {})
    return own | {key: value for part in arguments for key, value in flat(arguments[part], f"{name}.{part}").items()}


def _is_one(name: str, last_parts: Sequence[str]) -> bool:
    return name.rpartition(".")[2] in last_parts


def compared(runs: Sequence[FinishedRun]) -> list[Compared]:
    """The models of runs: those that differ by their seed alone are one, under a name of what differs otherwise."""
    by_settings: dict[str, list[FinishedRun]] = {}
    for run in runs:
        by_settings.setdefault(json.dumps(settings(run), sort_keys=True), []).append(run)
    all_settings = [settings(own[0]) for own in by_settings.values()]
    labels = names(all_settings)
    in_order = [
        sorted(own, key=lambda run: str(run.config["seed_everything"]).zfill(20)) for own in by_settings.values()
    ]
    return [Compared(label, own) for label, own in zip(labels, in_order, strict=True)]


def names(all_settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A short name for each of several settings: the class, and those that are not the same in all of its class.

    Example:
        >>> vae = {"model": "VAE", "model.k": 1, "model.prior": "StandardNormal"}
        >>> names([vae, vae | {"model": "IWAE", "model.k": 5}, vae | {"model": "IWAE", "model.k": 50}])
        ['VAE', 'IWAE, k = 5', 'IWAE, k = 50']
    """
    found = []
    for each in all_settings:
        like = [other for other in all_settings if other["model"] == each["model"]]
        differing = [key for key in each if any(other.get(key) != each[key] for other in like)]
        words = (f"{key.rpartition('.')[2]} = {each[key]}" for key in differing)
        found.append(", ".join([each["model"], *words]))
    return found


def groups(models: Sequence[Compared]) -> list[Group]:
    """The models that may be compared, together."""
    found: dict[str, list[Compared]] = {}
    for model in models:
        found.setdefault(_measure(model), []).append(model)
    return [Group(title, own) for title, own in found.items()]


def _measure(model: Compared) -> str:
    """In words, of what the log-likelihood of a model is one."""
    run = model.runs[0]
    levels = model.models[0].levels
    data = {
        name.removeprefix("data."): value
        for name, value in flat(run.config["data"], "data").items()
        if not _is_one(name, NOT_MEASURED) and name != "data" and value is not None
    }
    of = "a density" if levels is None else f"a probability of {levels} values a pixel"
    told = "".join(f", {name} {value}" for name, value in data.items() if name != "data_dir")
    return f"{run.report['data']}, {run.report.get('pixels', 'as they are')} pixels, {of}{told}"
