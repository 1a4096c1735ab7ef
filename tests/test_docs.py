"""What the pages of the documentation show, runs."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from zoo import LatentVariableModel
from zoo.testing import check_model

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ALL = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
PAGES = [page for page in ALL if BLOCK.search(page.read_text())]


@pytest.fixture
def page(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The blocks of a page, run in one module that checkpoints can name, in an empty folder."""
    path: Path = request.param
    module = ModuleType("docs_" + re.sub(r"\W", "_", path.stem.lower()))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    torch.set_default_dtype(torch.float32)  # what a reader has
    text = path.read_text()
    for block in BLOCK.finditer(text):
        before = "\n" * text.count("\n", 0, block.start(1))  # so that a traceback shows the line of the page
        exec(compile(before + block[1], str(path), "exec"), module.__dict__)
    yield module


def test_a_page_has_blocks() -> None:
    assert ROOT / "docs" / "new-model.md" in PAGES


@pytest.mark.filterwarnings("default")  # a reader's program does not turn Lightning's advice into errors
@pytest.mark.parametrize("page", PAGES, indirect=True, ids=lambda path: path.stem)
def test_blocks_run_and_their_models_keep_the_contract(page: ModuleType) -> None:
    for thing in vars(page).copy().values():
        own = inspect.isclass(thing) and thing.__module__ == page.__name__
        if own and issubclass(thing, LatentVariableModel) and not inspect.isabstract(thing):
            check_model(thing)
