"""Rows of images and labels, as the library datasets of Hugging Face reads them."""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from datamodules.errors import DataError
from datamodules.packing import NO_LABEL, Example, Source
from datamodules.split_names import published_splits


class Rows(Source):
    """The images of one split, and their labels.

    Args:
        where: The data set and the split, for messages.
        origin: The folder in the cache of `datasets` that is named after the content.
        table: The rows, a `Dataset` or an `IterableDataset` of that library.
        image: The column of the images.
        label: The column of the labels, or None.
    """

    def __init__(self, where: str, origin: str, table: Any, image: str, label: str | None) -> None:
        super().__init__(where)
        self.origin = origin
        self.table = table.select_columns([image] if label is None else [image, label])
        self.image = image
        self.label = label

    def identity(self) -> str:
        """The origin, the split and the columns."""
        return repr((self.origin, self.where, self.image, self.label))

    def __iter__(self) -> Iterator[Example]:
        number = 0
        try:
            for row in self.table:
                if row[self.image] is None:
                    raise ValueError("it has no image")
                yield Example(row[self.image], self._label(row), f"example {number} of {self.where}")
                number += 1
        except Exception as error:  # files and networks fail in many ways, and each reader has its own errors
            raise DataError(f"example {number} of {self.where} cannot be read ({_line(error)}).") from None

    def _label(self, row: Mapping[str, Any]) -> int:
        value = None if self.label is None else row[self.label]
        return NO_LABEL if value is None else int(value)


def published_rows(
    name: str, config: str | None, data_dir: str | None, image: str | None, label: str | None, streaming: bool
) -> dict[str, Rows]:
    """Returns the rows of each split of a data set.

    Raises:
        DataError: The library is missing, or the data set, the column or a split for training.
    """
    datasets = _library()
    try:
        builder = datasets.load_dataset_builder(name, config, data_dir=data_dir)
        tables = _tables(builder, streaming)
    except Exception as error:  # files and networks fail in many ways, and each reader has its own errors
        raise DataError(
            f"the data set {name} cannot be loaded ({_line(error)}); check its name, its config and data_dir,"
            " and the network."
        ) from None
    splits = {"train": next(iter(tables))} if len(tables) == 1 else published_splits(name, tables)
    if not splits:
        raise DataError(f"{name} has the splits {', '.join(tables)}, and none for training.")
    columns = _columns(datasets, name, tables[splits["train"]], image, label)
    return {
        split: Rows(f"{name}, split {theirs}", builder.cache_dir, tables[theirs], *columns)
        for split, theirs in splits.items()
    }


def _library() -> ModuleType:
    try:
        import datasets  # here, because it is an extra, and takes more than a second
    except ImportError:
        raise DataError(
            "HuggingFace needs the package datasets, which is not installed: pip install 'vae-zoo[huggingface]'."
        ) from None
    return datasets


def _tables(builder: Any, streaming: bool) -> dict[str, Any]:
    if streaming:
        return dict(builder.as_streaming_dataset())
    builder.download_and_prepare()
    return dict(builder.as_dataset())


def _columns(
    datasets: ModuleType, name: str, table: Any, image: str | None, label: str | None
) -> tuple[str, str | None]:
    """Returns the columns of images and labels; those that are named are looked for, the others found."""
    kinds = table.features or {}
    images = [column for column, kind in kinds.items() if isinstance(kind, datasets.Image)]
    labels = [column for column, kind in kinds.items() if _is_label(datasets, kind)]
    classes = [column for column in labels if isinstance(kinds[column], datasets.ClassLabel)]
    found = _chosen(name, "image", image, images, list(kinds)) or next(iter(images), None)
    if found is None:
        raise DataError(f"{name} has the columns {', '.join(kinds) or 'nobody knows'}, and none of images.")
    return found, _chosen(name, "label", label, labels, list(kinds)) or next(iter(classes), None)


def _is_label(datasets: ModuleType, kind: Any) -> bool:
    return isinstance(kind, datasets.ClassLabel) or (isinstance(kind, datasets.Value) and "int" in kind.dtype)


def _chosen(name: str, role: str, column: str | None, fit: list[str], columns: list[str]) -> str | None:
    if column is not None and column not in fit:
        raise DataError(
            f"{name} has no {role} column {column!r}; its columns are {', '.join(columns)},"
            f" of which {', '.join(fit) or 'none'} can be used."
        )
    return column


def _line(error: Exception) -> str:
    """The first line of what an error says."""
    return str(error).partition("\n")[0] or type(error).__name__
