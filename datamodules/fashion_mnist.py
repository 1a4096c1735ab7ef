"""Fashion-MNIST, 60,000 and 10,000 pictures of clothes."""

from datamodules.idx import idx_file
from datamodules.idx_images import _IdxImages
from datamodules.published_file import Digest


class FashionMNIST(_IdxImages):
    """Fashion-MNIST, the last `val_size` of its 60,000 training images for validation, its 10,000 others for test.

    The four packed IDX files are downloaded to the cache folder, or read from a folder of yours, where they lie as
    torchvision lays them (FashionMNIST/raw or raw) or directly. Only the published files are accepted, and digests
    have been published of the packed ones alone: keep the .gz files.

    Args:
        data_dir: The folder of yours; by default $ZOO_DATA_DIR, and where that is not set the cache folder.
        val_size: The number of validation images, which may be 0.
        **kwargs: Passed to `ImageDataModule`.

    References:
        Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms (Xiao et al., 2017)
        https://arxiv.org/abs/1708.07747
    """

    folder = "FashionMNIST/raw"
    mirrors = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    files = (
        idx_file("train-images-idx3-ubyte", Digest("md5", "8d4fb7e6c68d591d4c3dfef9ec88bf0d")),
        idx_file("train-labels-idx1-ubyte", Digest("md5", "25c81989df183df01b3e8a0aad5dffbe")),
        idx_file("t10k-images-idx3-ubyte", Digest("md5", "bef4ecab320f06d8554ea6380940ec79")),
        idx_file("t10k-labels-idx1-ubyte", Digest("md5", "bb300cfdad3c16e7a12a480ee83cd310")),
    )
