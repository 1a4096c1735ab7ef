"""Networks: (shape in, shape out) -> module."""

from zoo.networks.base import Network, NetworkFactory, Shape, full_precision
from zoo.networks.mlp import MLP

__all__ = ["MLP", "Network", "NetworkFactory", "Shape", "full_precision"]
