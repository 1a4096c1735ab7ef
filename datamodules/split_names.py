"""Names that published splits go by."""

from collections.abc import Collection, Iterator

from datamodules.errors import DataError

NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def published_splits(where: str, names: Collection[str]) -> dict[str, str]:
    """Returns which of `names`, in capitals or not, stand for train, val and test; nothing where none does.

    Raises:
        DataError: Two names stand for one split, or there is none for training beside others.
    """
    found = dict(_found(where, names))
    if found and "train" not in found:
        raise DataError(f"{where} holds {' and '.join(found.values())} but no train; add it, or rename them.")
    return found


def _found(where: str, names: Collection[str]) -> Iterator[tuple[str, str]]:
    for split, known in NAMES.items():
        matches = sorted(name for name in names if name.lower() in known)
        if len(matches) > 1:
            raise DataError(f"{where} holds both {' and '.join(matches)}; keep one of them for {split}.")
        yield from ((split, name) for name in matches)
