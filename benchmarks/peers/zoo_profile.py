"""Ours, looked at by torch's profiler: where the time of the steps of `zoo fit` goes."""

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.profiler import ProfilerActivity, profile

from benchmarks.peers.zoo_fit import options
from benchmarks.task import Task
from zoo import machine_code
from zoo.cli import main

PARTS = {
    "matrix products": r".*_cpu_(addmm|mm|bmm|baddbmm)_out|.*_linear_pointwise|aten::(addmm|mm|bmm|baddbmm)",
    "elementwise operations and sums, compiled": r"graph_\d+_cpp_.*",
    "random numbers": r"aten::(normal|bernoulli|uniform|random|randperm).*",
    "Adam": r"aten::_fused_adam.*",
    "other operations of torch": r"(aten|aoti|mkldnn).*",
}
"""The parts, each with the events of the profiler that belong to it; the first that fits counts."""

REST = "Python, the loader, hooks, the profiler itself"


def part(event: str) -> str:
    """The part that an event belongs to.

    Example:
        >>> part("aten::mm"), part("aten::copy_"), part("a range with a name")
        ('matrix products', 'other operations of torch', 'Python, the loader, hooks, the profiler itself')
    """
    return next((name for name, pattern in PARTS.items() if re.fullmatch(pattern, event)), REST)


class Profile(pl.Callback):
    """Looks at the steps of the third epoch, where all are recorded and compiled, and ends the run."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins."""
        if trainer.current_epoch == 2:
            self._profile = profile(activities=[ProfilerActivity.CPU])
            self._profile.start()
            self._began = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Writes how many microseconds of a step each part has taken."""
        if trainer.current_epoch < 2 or trainer.sanity_checking:
            return
        whole = 1e6 * (time.perf_counter() - self._began)
        self._profile.stop()
        found = Counter({REST: whole})
        for event in self._profile.key_averages():
            found[part(event.key)] += event.self_cpu_time_total
            found[REST] -= event.self_cpu_time_total
        n_steps = trainer.num_training_batches
        parts = {name: found[name] / n_steps for name in (*PARTS, REST)}
        (Path(Task.given().folder) / "profile.json").write_text(json.dumps(parts))
        trainer.should_stop = True


if __name__ == "__main__":
    machine_code.CPU["cpp.enable_kernel_profile"] = True  # so that compiled operations have names
    watched = [each for each in options(Task.given()) if "WatchZoo" not in each]
    main(["fit", *watched, "--trainer.callbacks+=benchmarks.peers.zoo_profile.Profile", "--trainer.max_epochs=3"])
