"""What the figures were measured on, by no name of a host."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def describe(device: str) -> dict[str, str]:
    """The processor, what runs on it, and in which versions."""
    return {
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "threads of torch": str(torch.get_num_threads()),
        **({"card": torch.cuda.get_device_name()} if device == "cuda" else {}),
        "Python": platform.python_version(),
        **{name: installed(name) for name in ("torch", "pytorch-lightning", "jax", "optax", "pythae")},
    }


def limit(threads: int) -> None:
    """Keeps this process, and those that it starts, to so many threads and cores."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    if hasattr(os, "sched_setaffinity"):  # JAX takes as many threads as there are cores for it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def processor() -> str:
    """The name of the processor, as far as the system says it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def installed(name: str) -> str:
    """The version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
