"""Data sets: images in memory, split once, in an order and with noise that are functions of a seed."""

from datamodules.array_images import ArrayImages
from datamodules.base import ImageDataModule
from datamodules.errors import DataError
from datamodules.linear_gaussian import LinearGaussian
from datamodules.loaders import EvalBatches, TrainBatches
from datamodules.mnist import MNIST
from datamodules.mnist5k import MNIST5k
from datamodules.pixels import Dynamic, Grey, Pixels, Static, Threshold, intensity
from datamodules.records import Batch, Images, Splits, Stored

__all__ = [
    "MNIST",
    "ArrayImages",
    "Batch",
    "DataError",
    "Dynamic",
    "EvalBatches",
    "Grey",
    "ImageDataModule",
    "Images",
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
