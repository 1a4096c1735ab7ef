"""Data that cannot be used are refused on the command line in one sentence, and nothing half-written is left."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.refused import refused

ARRAY = "fit --trainer.log_every_n_steps=1 --data ArrayImages --data.path="
FOLDER = "fit --trainer.log_every_n_steps=1 --model GaussianVAE --data ImageFolder --data.path="

REFUSED = {
    "fit --data FreyFaces --data.data_dir=empty": "place freyfaces.pkl or frey_faces.npz in one folder",
    "fit --data FashionMNIST --data.data_dir=empty": "empty does not hold train-images-idx3-ubyte.gz",
    "fit --data OMNIGLOT --data.data_dir=nowhere": "nowhere does not hold chardata.mat",
    "fit --data LarochelleMNIST --data.data_dir=empty": "place binarized_mnist_train.amat",
    "fit --data MNIST --data.data_dir=swapped": "is damaged or another file than the published one",
    "fit --data FreyFaces --data.data_dir=swapped": "holds other images than the Frey Faces",
    f"{FOLDER}nowhere": "nowhere is not a folder",
    f"{FOLDER}empty": "empty holds no images",
    f"{FOLDER}odd": "odd/9.png has 5 x 9 pixels and the first image 8 x 9",
    f"{FOLDER}damaged": "damaged/2.png cannot be read as an image",
    f"{FOLDER}odd --data.size=[8]": "size is [8], where a tuple with 2 elements was expected",
    "fit --data HuggingFace --data.name=imagefolder --data.data_dir=nowhere": "check its name, its config and data_dir",
    "fit --data ArrayImages": "path is missing",
    f"{ARRAY}integers.npy": "is of type int32; expected uint8 (0..255), bool or float",
    f"{ARRAY}objects.npy": "is of type object",
    f"{ARRAY}last.npy": "with the channels last",
    f"{ARRAY}labels.npz": "expected one integer label for each of 30 images",
    f"{ARRAY}labels.npz --data.key=z": "holds no array 'z', but x, y",
    f"{ARRAY}images.npy --data.val=0.6 --data.test=0.5": "change val and test",
    f"{ARRAY}cut.npy": "cut.npy cannot be read as a NumPy file",
    f"{ARRAY}images.npy --data.pixels=Binary": "choose Threshold, Static or Dynamic pixels",
    f"{ARRAY}far.npy --data.pixels=Dequantised": "only uint8 images (0..255) can be dequantised",
    f"{ARRAY}far.npy --data.pixels=Dynamic": "scale them to [0, 1]",
    f"{ARRAY}images.npy --data.pixels=Dequantised --model VAE --model.likelihood=Categorical": "i/255",
    f"{ARRAY}far.npy --model VAE --model.likelihood=ContinuousBernoulli": "takes values in [0, 1]",
    f"{ARRAY}far.npy --model GaussianVAE --model.closed_form_kl=false --model.prior=VampPrior": "clip=False",
    f"{ARRAY}small.npy --model GaussianVAE --model.encoder=ConvEncoder": "takes images from 8 × 8",
    "fit --data LinearGaussian --model GaussianVAE --model.decoder=ConvDecoder": "takes images (C, H, W)",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (30, 8, 9), dtype=np.uint8)
    np.save("images.npy", images)
    np.save("small.npy", images[:, :5, :7])
    np.save("integers.npy", images.astype(np.int32))
    np.save("objects.npy", np.array([{}], dtype=object))
    np.save("last.npy", np.zeros((30, 8, 9, 3), np.uint8))
    np.save("far.npy", generator.normal(0, 3, (30, 4, 5)))
    np.savez("labels.npz", x=images, y=np.zeros(29, int))
    Path("cut.npy").write_bytes(Path("images.npy").read_bytes()[:-5])
    for name in ("empty", "odd", "damaged", "swapped"):
        Path(name).mkdir()
    for number, image in enumerate(images[:3]):
        Image.fromarray(image).save(f"odd/{number}.png")
        Image.fromarray(image).save(f"damaged/{number}.png")
    Image.fromarray(images[0, :5]).save("odd/9.png")
    Path("damaged/2.png").write_bytes(Path("damaged/2.png").read_bytes()[:60])
    Path("swapped/train-images-idx3-ubyte").write_bytes(b"nothing of the kind")
    np.savez("swapped/frey_faces.npz", images=np.zeros((1965, 28, 20), np.uint8))
    return tmp_path


@pytest.mark.parametrize("line", REFUSED)
def test_it_is_refused_in_a_sentence(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_below(folder)
    assert REFUSED[line] in refused(line, capsys)
    assert files_below(folder) == before, "something half-written is left"


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
