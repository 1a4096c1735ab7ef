"""Who does the work, one contender a file, each run as a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

FLOOR, BY_TORCH, OURS = "matrix products alone", "matrix products by torch", "zoo"


@dataclass(frozen=True)
class Peer:
    """A contender.

    Args:
        name: What it is called in the tables.
        module: The module that does its work.
        needs: The package that it needs.
        objectives: The objectives that it has.
        devices: The devices that it runs on.
        options: What its process is told in its environment.
    """

    name: str
    module: str
    needs: str = "torch"
    objectives: Sequence[str] = ("vae", "iwae", "prior", "log_likelihood")
    devices: Sequence[str] = ("cpu", "cuda")
    options: dict[str, str] = field(default_factory=dict)

    @property
    def installed(self) -> bool:
        """Whether its package is here."""
        return find_spec(self.needs) is not None


_PRODUCTS = (
    Peer(FLOOR, "benchmarks.peers.matrix_products"),
    Peer(BY_TORCH, "benchmarks.peers.matrix_products", options={"BENCHMARK_BY_TORCH": "1"}),
)

TRAINERS = (
    *_PRODUCTS,
    Peer(OURS, "benchmarks.peers.zoo_fit"),
    Peer("zoo, pixels drawn anew", "benchmarks.peers.zoo_fit", objectives=["vae"], options={"BENCHMARK_ANEW": "1"}),
    Peer("torch, compiled as one graph", "benchmarks.peers.torch_compiled"),
    Peer("torch, fused Adam", "benchmarks.peers.torch_loop"),
    Peer("torch, with denormals", "benchmarks.peers.torch_loop", options={"BENCHMARK_DENORMALS": "1"}),
    Peer("JAX scan", "benchmarks.peers.jax_scan", needs="optax", devices=["cpu"]),
    Peer("Lightning as people write it", "benchmarks.peers.lightning_trainer", objectives=["vae", "iwae"]),
    Peer("pythae", "benchmarks.peers.pythae_trainer", needs="pythae", objectives=["vae", "iwae"]),
)
"""Who trains."""

EVALUATORS = (
    *_PRODUCTS,
    Peer(OURS, "benchmarks.peers.zoo_log_likelihood", options={"ZOO_COMPILE": "always"}),
    Peer("zoo, not compiled", "benchmarks.peers.zoo_log_likelihood", options={"ZOO_COMPILE": "never"}),
    Peer("torch, in chunks", "benchmarks.peers.torch_log_likelihood"),
    Peer("torch, in chunks, compiled", "benchmarks.peers.torch_log_likelihood", options={"BENCHMARK_COMPILE": "1"}),
    Peer("JAX scan over chunks", "benchmarks.peers.jax_log_likelihood", needs="optax", devices=["cpu"]),
    Peer("pythae", "benchmarks.peers.pythae_log_likelihood", needs="pythae", devices=["cpu"]),
)
"""Who estimates log p(x)."""
