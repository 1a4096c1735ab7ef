"""MNIST, 60,000 and 10,000 handwritten digits."""

import os
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from datamodules.base import ImageDataModule
from datamodules.cache import cache_dir, fetch
from datamodules.errors import DataError
from datamodules.idx import find_idx, read_idx
from datamodules.pixels import Dynamic
from datamodules.records import Images, Splits


class IdxFile(NamedTuple):
    """A published file, known by the digests of its content."""

    name: str
    packed_sha256: str
    md5: str


class MNIST(ImageDataModule):
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

    x_shape = (1, 28, 28)
    default_pixels = Dynamic
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    )
    files: ClassVar[tuple[IdxFile, ...]] = (
        IdxFile(
            "train-images-idx3-ubyte",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "a25bea736e30d166cdddb491f175f624",
        ),
        IdxFile(
            "t10k-images-idx3-ubyte",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "2646ac647ad5339dbf082846283269ea",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    )

    def __init__(self, data_dir: str | Path | None = None, val_size: int = 5000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= val_size < 60_000:
            raise DataError(f"val_size is {val_size}; MNIST has 60,000 training images, so give 0 to 59,999.")
        self.data_dir = data_dir or os.environ.get("ZOO_DATA_DIR") or None
        self.val_size = val_size

    def prepare_data(self) -> None:
        """Downloads the files that the cache folder lacks; does nothing where you name a folder."""
        if self.data_dir is not None:
            return
        hashes = {f"{file.name}.gz": f"sha256:{file.packed_sha256}" for file in self.files}
        try:
            fetch(hashes, self.mirrors, cache_dir() / "MNIST" / "raw")
        except DataError as error:
            raise DataError(f"{error} Without a network, {self._how_to_place()}.") from None

    def load(self) -> Splits:
        """Reads the four files."""
        folder = self._folder()
        paths = [find_idx(folder, file.name) or folder / file.name for file in self.files]
        x, y, x_test, y_test = (read_idx(path, file.md5) for path, file in zip(paths, self.files, strict=True))
        cut = len(x) - self.val_size
        images, labels = x.unsqueeze(1), y.long()  # (60000, 1, 28, 28), (60000,)
        train, val = Images(images[:cut], labels[:cut]), Images(images[cut:], labels[cut:])
        return Splits(train, val, Images(x_test.unsqueeze(1), y_test.long()))

    def _folder(self) -> Path:
        root = Path(self.data_dir or cache_dir()).expanduser()
        for folder in (root / "MNIST" / "raw", root / "raw", root):
            if all(find_idx(folder, file.name) for file in self.files):
                return folder
        raise DataError(
            f"{root} does not hold the four files of MNIST: {self._how_to_place()},"
            " or name no folder, and they are downloaded."
        )

    def _how_to_place(self) -> str:
        names = ", ".join(f"{file.name}.gz" for file in self.files)
        return f"place {names} (packed or not) in one folder, and name it by --data.data_dir or ZOO_DATA_DIR"
