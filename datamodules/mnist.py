"""MNIST, 60,000 and 10,000 handwritten digits."""

from datamodules.idx import idx_file
from datamodules.idx_images import _IdxImages
from datamodules.pixels import Dynamic
from datamodules.published_file import Digest


class MNIST(_IdxImages):
    """MNIST, the last `val_size` of its 60,000 training images for validation, its 10,000 others for test.

    The four IDX files are downloaded to the cache folder, or read from a folder of yours, packed or not,
    where they lie as torchvision lays them (MNIST/raw or raw) or directly. Only the published content is
    accepted.

    Args:
        data_dir: The folder of yours; by default $ZOO_DATA_DIR, and where that is not set the cache folder.
        val_size: The number of validation images, which may be 0.
        **kwargs: Passed to `ImageDataModule`.

    References:
        Gradient-based learning applied to document recognition (LeCun et al., 1998)
        https://doi.org/10.1109/5.726791
    """

    default_pixels = Dynamic
    folder = "MNIST/raw"
    mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    )
    files = (
        idx_file(
            "train-images-idx3-ubyte",
            packed=Digest("sha256", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            unpacked=Digest("md5", "6bbc9ace898e44ae57da46a324031adb"),
        ),
        idx_file(
            "train-labels-idx1-ubyte",
            packed=Digest("sha256", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            unpacked=Digest("md5", "a25bea736e30d166cdddb491f175f624"),
        ),
        idx_file(
            "t10k-images-idx3-ubyte",
            packed=Digest("sha256", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            unpacked=Digest("md5", "2646ac647ad5339dbf082846283269ea"),
        ),
        idx_file(
            "t10k-labels-idx1-ubyte",
            packed=Digest("sha256", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
            unpacked=Digest("md5", "27ae3e4e09519cfbb04c329615203637"),
        ),
    )
