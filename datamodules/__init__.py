"""Data sets: images in memory or in mapped files, split once, in an order and with noise that follow a seed."""

from datamodules.array_images import ArrayImages
from datamodules.base import ImageDataModule
from datamodules.errors import DataError
from datamodules.fashion_mnist import FashionMNIST
from datamodules.frey_faces import FreyFaces
from datamodules.hugging_face import HuggingFace
from datamodules.image_folder import ImageFolder
from datamodules.larochelle_mnist import LarochelleMNIST
from datamodules.linear_gaussian import LinearGaussian
from datamodules.loaders import EvalBatches, TrainBatches
from datamodules.mnist import MNIST
from datamodules.mnist5k import MNIST5k
from datamodules.omniglot import OMNIGLOT
from datamodules.pixels import Binary, Dequantised, Dynamic, Grey, Pixels, Static, Threshold, intensity
from datamodules.records import Batch, Images, Splits, Stored

__all__ = [
    "MNIST",
    "OMNIGLOT",
    "ArrayImages",
    "Batch",
    "Binary",
    "DataError",
    "Dequantised",
    "Dynamic",
    "EvalBatches",
    "FashionMNIST",
    "FreyFaces",
    "Grey",
    "HuggingFace",
    "ImageDataModule",
    "ImageFolder",
    "Images",
    "LarochelleMNIST",
    "LinearGaussian",
    "MNIST5k",
    "Pixels",
    "Splits",
    "Static",
    "Stored",
    "Threshold",
    "TrainBatches",
    "intensity",
]
