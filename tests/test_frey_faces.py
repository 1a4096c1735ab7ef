"""Frey Faces, and the pickle that is read without being executed."""

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import DataError, FreyFaces
from datamodules.array_pickle import parse_bytes_array
from datamodules.published_file import Digest
from tests.published import Execute, files_below, python_2_pickle, serving

TRUE_FACES = Path(os.environ.get("ZOO_DATA_DIR", "")) / "FreyFaces" / "frey_faces.npz"
WITH_FACES = pytest.mark.skipif(not TRUE_FACES.is_file(), reason="ZOO_DATA_DIR holds no Frey Faces")
FRAMES = np.random.default_rng(0).integers(0, 256, (407, 28, 20), dtype=np.uint8)
PICKLED = python_2_pickle(FRAMES.reshape(407, 560))


@pytest.fixture
def other_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise, which is now what has been published."""
    pixels, content = (hashlib.sha256(each).hexdigest() for each in (FRAMES.tobytes(), PICKLED))
    monkeypatch.setattr("datamodules.frey_faces._PIXELS", Digest("sha256", pixels))
    file = FreyFaces.files[0]._replace(check=Digest("sha256", content))
    monkeypatch.setattr(FreyFaces, "files", (file,))


def save_npz(folder: Path, images: np.ndarray) -> None:
    np.savez(folder / "frey_faces.npz", images=images)


def save_pickle(folder: Path, images: np.ndarray) -> None:
    (folder / "freyfaces.pkl").write_bytes(python_2_pickle(images.reshape(len(images), -1)))


@pytest.mark.parametrize("save", [save_npz, save_pickle])
@pytest.mark.parametrize("layout", ["FreyFaces", "."])
@pytest.mark.usefixtures("other_faces")
def test_faces_are_split_at_random(save: Callable[[Path, np.ndarray], None], layout: str, tmp_path: Path) -> None:
    (tmp_path / layout).mkdir(exist_ok=True)
    save(tmp_path / layout, FRAMES)
    train, val, test = (part.images for part in FreyFaces(tmp_path).load())
    assert (len(train), len(val), len(test)) == (7, 200, 200)
    assert sorted(x.numpy().tobytes() for x in torch.cat([train, val, test])) == sorted(x.tobytes() for x in FRAMES)
    assert torch.equal(FreyFaces(tmp_path).load().train.images, train)
    assert not torch.equal(FreyFaces(tmp_path, split_seed=1).load().train.images, train)


@pytest.mark.parametrize(
    ("save", "reason"), [(save_npz, "it holds other images than the Frey Faces"), (save_pickle, "its sha256 is")]
)
def test_other_images_are_refused(save: Callable[[Path, np.ndarray], None], reason: str, tmp_path: Path) -> None:
    save(tmp_path, FRAMES)
    with pytest.raises(DataError, match=rf"is damaged or another file than the published one \({reason}"):
        FreyFaces(tmp_path).load()


def test_a_pickle_of_other_images_is_refused_though_it_be_the_published_one() -> None:
    with pytest.raises(DataError, match="it holds other images than the Frey Faces"):
        FreyFaces.files[0].parse(PICKLED, "it")


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda content: content[:-30],
    lambda content: b"garbage",
    lambda content: content[:300] + b"?" + content[301:],
    lambda content: npy(FRAMES),
    lambda content: content.replace(b"images", b"frames"),
]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.usefixtures("other_faces")
def test_a_damaged_file_of_arrays_is_refused(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    save_npz(tmp_path, FRAMES)
    path = tmp_path / "frey_faces.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"frey_faces\.npz is damaged .* \(it is not a \.npz file of `images` \("):
        FreyFaces(tmp_path).load()


@pytest.mark.usefixtures("other_faces")
def test_the_pickle_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOO_DATA_DIR", raising=False)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path))
    with serving({"freyfaces.pkl": PICKLED}) as address:
        monkeypatch.setattr(FreyFaces, "mirrors", (address,))
        data = FreyFaces()
        data.prepare_data()
    assert files_below(tmp_path / "FreyFaces") == ["freyfaces.pkl"]
    assert data.description == "FreyFaces, grey pixels, 7/200/200"


@pytest.mark.parametrize(
    "pickled", [python_2_pickle(FRAMES[:, 0]), pickle.dumps([FRAMES[:, 0]], 3), pickle.dumps([FRAMES[:, 0]], 4)]
)
def test_pickled_arrays_are_read_without_numpy(pickled: bytes) -> None:
    array = parse_bytes_array(pickled, "it")
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, FRAMES[:, 0])


@pytest.mark.parametrize("call", [os.mkdir, open, eval, exec, np.memmap, np.save])
def test_a_hostile_pickle_is_not_executed(call: Callable[..., object], tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w')"
    arguments = {open: (str(trap), "w"), eval: (code,), exec: (code,), np.save: (str(trap), [1])}
    hostile = Execute(call, *arguments.get(call, (str(trap),)))
    with pytest.raises(DataError, match=r"it is not a pickled array of unsigned bytes \(it names "):
        parse_bytes_array(hostile.pickled(), "it")
    assert list(tmp_path.iterdir()) == []


NAMED = b"cnumpy.core.multiarray\n_reconstruct\n(tR"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        PICKLED[:-1],
        pickle.dumps([3], 2),
        pickle.dumps([], 2),
        pickle.dumps([FRAMES, FRAMES], 4),
        pickle.dumps([FRAMES.astype(np.int16)], 4),
        pickle.dumps([FRAMES[0].T], 4),
        pickle.dumps([np.array([{}], dtype=object)], 4),
        b"(l" + NAMED + b"(I1\n(I2\ntcnumpy\ndtype\n(S'u1'\ntRI00\nI2\ntba.",  # a number where its bytes should be
        b"(l" + NAMED + b"(I1\n(I9\ntcnumpy\ndtype\n(S'u1'\ntRI00\nS'ab'\ntba.",  # too few bytes
    ],
)
def test_pickles_of_anything_else_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="it is not a pickled array of unsigned bytes"):
        parse_bytes_array(content, "it")


@WITH_FACES
def test_true_faces_from_both_files(tmp_path: Path) -> None:
    with np.load(TRUE_FACES) as file:
        save_pickle(tmp_path, file["images"])  # the very bytes that have been published, as its digest says
    from_pickle, from_arrays = FreyFaces(tmp_path), FreyFaces(TRUE_FACES.parent)
    assert from_pickle.description == from_arrays.description == "FreyFaces, grey pixels, 1565/200/200"
    for a, b in zip(from_pickle.splits, from_arrays.splits, strict=True):
        assert torch.equal(a.images, b.images)
    assert from_arrays.splits.train.images.dtype == torch.uint8
