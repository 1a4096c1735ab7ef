"""Image data sets of the library datasets of Hugging Face."""

from functools import cached_property, partial
from typing import Any

from datamodules.hugging_face_rows import Rows, published_rows
from datamodules.packed_images import PackedImages


class HuggingFace(PackedImages):
    """Any data set of images that the library `datasets` reads, from its Hub or from a folder of yours.

    Needs the extra: `pip install 'vae-zoo[huggingface]'`. Code that comes with a data set is never executed. Its
    splits train, validation and test are used; where one of the last two is missing, it is taken from train at
    random, and a data set with a single split is all split at random. Others, such as "unsupervised", are left out.

    The shape of the images must be known before the model is made. Where `size` and `grey` do not say it, the first
    example is read at once, for which the whole data set is downloaded, or with `streaming` that example alone.

    Args:
        name: Its name on the Hub, as "ylecun/mnist", or a reader of local files, as "imagefolder" or "parquet".
        config: Which of its configurations, where it has several.
        data_dir: The folder that a reader of local files reads.
        image: The column of the images; by default the first that holds images.
        label: The column of the labels; by default the first that holds classes, if there is one.
        streaming: Whether examples come over the network one by one, so that nothing but the packed arrays is kept.
        **kwargs: Passed to `PackedImages`.
    """

    def __init__(
        self,
        name: str,
        config: str | None = None,
        data_dir: str | None = None,
        image: str | None = None,
        label: str | None = None,
        streaming: bool = False,
        **kwargs: Any,
    ) -> None:
        self._load = partial(published_rows, name, config, data_dir, image, label, streaming)
        super().__init__(where=name, **kwargs)

    @property
    def sources(self) -> dict[str, Rows]:
        """The rows of each split."""
        return self._rows

    @cached_property
    def _rows(self) -> dict[str, Rows]:
        return self._load()
