"""Recorded operations as machine code that runs without Python, so that several threads may be at it at once.

It rests on parts of torch that are not public, and is imported only where `machine_code.runs_natively`.
"""

import ctypes
import hashlib
import os
import weakref
from collections.abc import Iterator, Sequence
from ctypes import POINTER, Structure, c_size_t, c_void_p
from functools import cache
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch._inductor
from torch import Tensor, nn
from torch._inductor.codecache import CppCodeCache
from torch._inductor.runtime.cache_dir_utils import cache_dir
from torch.fx import Graph, GraphModule, Node

from zoo.handles import handles, tensors
from zoo.machine_code import layout

Share = Sequence[Tensor]
"""The inputs of one call."""


class _Code(Structure):
    """That of native.cpp."""

    _fields_ = (
        ("run", c_void_p),
        ("models", POINTER(c_void_p)),
        ("held", POINTER(c_void_p)),
        ("n_given", c_size_t),
        ("n_held", c_size_t),
        ("n_out", c_size_t),
    )


class Native:
    """Operations on tensors as machine code, on a CPU.

    What the recorded graph has in its attributes, as weights are, may change in place.

    Args:
        graph: The operations.
        inputs: Tensors like those to come.
        threads: How many times it may run at once, each time by a thread alone; by default once, by all threads.
        options: What torch's compiler is told.

    Raises:
        Exception: Whatever the compilers raise, where there is none or they cannot.
    """

    def __init__(self, graph: GraphModule, inputs: Share, threads: int = 1, **options: Any) -> None:
        _glue()  # first, so that what is wrong with the compiler is said before any code is used
        self.threads = threads
        outputs: Any = graph.graph.output_node().args[0]
        self._one = isinstance(outputs, Node)
        self._there = [each is not None for each in ([outputs] if self._one else outputs)]
        self._layouts = [layout(each) for each in inputs]
        graph, held = _with_all_as_inputs(graph)
        options |= {"cpp.threads": 1} if threads > 1 else {}
        library = ctypes.CDLL(str(_built(graph, [*inputs, *held], options)))
        models = (c_void_p * threads)(*(_model(library) for _ in range(threads)))
        own = handles(held)
        run = ctypes.cast(library.AOTInductorModelContainerRunSingleThreaded, c_void_p)
        self._code = _Code(run, models, own, len(inputs), len(held), sum(self._there))
        self._whole = ctypes.byref(self._code)
        weakref.finalize(self, _release, library, models, own)

    def __call__(self, *inputs: Tensor) -> Any:
        """What the operations give."""
        return self.each([inputs])[0]

    def each(self, shares: Sequence[Share]) -> list[Any]:
        """What they give of each of several inputs, all at once."""
        out = (c_void_p * (len(shares) * self._code.n_out))()
        _succeed(_glue().run_each(self._whole, len(shares), self._taken(shares), out))
        found = iter(tensors(out))
        return [self._as_recorded(found) for _ in shares]

    def into(self, following: "Native", shares: Sequence[Share], *first: Tensor) -> Any:
        """What other operations give of ``first`` and then of all that these give of each of the inputs.

        Nothing in between is a tensor of Python.
        """
        if len(first) + len(shares) * self._code.n_out != following._code.n_given:
            raise ValueError("the operations that follow take another number of tensors")
        out = (c_void_p * following._code.n_out)()
        given, besides = self._taken(shares), handles(first)
        _succeed(_glue().run_into(self._whole, len(shares), given, following._whole, besides, out))
        return following._as_recorded(iter(tensors(out)))

    def _as_recorded(self, found: Iterator[Tensor]) -> Any:
        outputs = tuple(next(found) if there else None for there in self._there)
        return outputs[0] if self._one else outputs

    def _taken(self, shares: Sequence[Share]) -> Any:
        """Handles of inputs, which are given away; inputs of another layout would be read as what they are not."""
        if len(shares) > self.threads:
            raise ValueError(f"compiled operations are run by {self.threads} threads, and not by {len(shares)}")
        for share in shares:
            if [layout(each) for each in share] != self._layouts:
                raise ValueError("compiled operations are given tensors of other shapes, types or strides")
        return handles([*chain(*shares)])


def _with_all_as_inputs(recorded: GraphModule) -> tuple[GraphModule, list[Tensor]]:
    """A graph whose attributes are inputs after the others, and those; each once, by whatever names it has."""
    graph = Graph()
    outputs = graph.graph_copy(recorded.graph, {})
    flat = outputs if isinstance(outputs, tuple | list) else [outputs]
    graph.output(tuple(each for each in flat if each is not None))
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    held: dict[Any, tuple[Tensor, Node]] = {}
    for node in graph.find_nodes(op="get_attr"):
        tensor = _attribute(recorded, node.target)
        key = tensor.data_ptr() or id(tensor), layout(tensor)
        if key not in held:
            with graph.inserting_after(last):
                last = graph.placeholder(f"held_{len(held)}")
            held[key] = tensor, last
        node.replace_all_uses_with(held[key][1])
        graph.erase_node(node)
    return GraphModule(nn.Module(), graph), [tensor for tensor, _ in held.values()]


def _attribute(module: Any, name: str) -> Tensor:
    for part in name.split("."):
        module = getattr(module, part)
    return module


def _built(graph: GraphModule, inputs: Share, options: dict[str, Any]) -> Path:
    """The library of a graph: compiled, or from the cache of torch's compiler, where it is kept for other runs."""
    folder = Path(cache_dir()) / "zoo"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_key(graph, inputs, options)}.so"
    if not path.is_file():
        with TemporaryDirectory(dir=folder) as own:
            where = {"aot_inductor.output_path": str(Path(own) / "code.so")}
            built = torch._inductor.aot_compile(graph, tuple(inputs), options=options | where)
            os.replace(str(built), path)
    return path


def _key(graph: GraphModule, inputs: Share, options: dict[str, Any]) -> str:
    """A hash of all that machine code depends on."""
    told = {name: value for name, value in os.environ.items() if name.startswith(("TORCHINDUCTOR_", "CXX"))}
    told.pop("TORCHINDUCTOR_CACHE_DIR", None)
    layouts = [layout(each) for each in inputs]
    ours = [(Path(__file__).parent / name).read_text() for name in ("native.py", "products.py")]
    all_ = (graph.code, layouts, options, told, torch.__version__, torch.get_num_threads(), _processor(), ours)
    return hashlib.sha256(repr(all_).encode()).hexdigest()


@cache
def _processor() -> list[str]:
    """What code is compiled for, since a folder of code may be seen by several machines."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})


@cache
def _glue() -> Any:
    glue: Any = CppCodeCache.load((Path(__file__).parent / "native.cpp").read_text())
    code, many = POINTER(_Code), POINTER(c_void_p)
    glue.run_each.argtypes = code, c_size_t, many, many
    glue.run_into.argtypes = code, c_size_t, many, code, many, many
    glue.forget.argtypes = many, c_size_t
    return glue


def _model(library: ctypes.CDLL) -> c_void_p:
    model = c_void_p()
    _succeed(library.AOTInductorModelContainerCreateWithDevice(ctypes.byref(model), c_size_t(1), b"cpu", None))
    return model


def _release(library: ctypes.CDLL, models: Any, held: Any) -> None:
    for model in models:
        library.AOTInductorModelContainerDelete(c_void_p(model))
    _glue().forget(held, len(held))


def _succeed(code: int) -> None:
    if code:
        raise RuntimeError("compiled operations failed; what is printed above this says how")
