"""Networks: (shape in, shape out) -> module."""

from zoo.networks.base import Network, NetworkFactory, Shape, full_precision
from zoo.networks.conv_decoder import ConvDecoder
from zoo.networks.conv_encoder import ConvEncoder
from zoo.networks.gated_mlp import GatedMLP
from zoo.networks.mlp import MLP

__all__ = [
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "GatedMLP",
    "Network",
    "NetworkFactory",
    "Shape",
    "full_precision",
]
