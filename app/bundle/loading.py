"""What reading a bundle of any kind takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from app.bundle.errors import ContentInvalid
from app.bundle.lexical import POSTINGS, TERMS, LexicalIndex
from app.bundle.manifest import Manifest

_SEARCH_PARAMETERS = ("efSearch", "nprobe")


class Needed:
    """The files of a bundle by name.

    Args:
        path: the folder.
        manifest: lists them.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path = path
        self._listed = {entry.path for entry in manifest.files}

    def __contains__(self, name: object) -> bool:
        return name in self._listed

    def __call__(self, name: str) -> Path:
        """The path of a file.

        Raises:
            ContentInvalid: the manifest does not list it.
        """
        if name not in self._listed:
            raise ContentInvalid(f"{self._path}: the manifest lists no {name}")
        return self._path / name


def read_array(path: Path, *, mapped: bool = False) -> np.ndarray:
    """An array that cannot be written to."""
    array: np.ndarray
    if mapped:
        array = np.lib.format.open_memmap(path, mode="r")
    else:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    array.flags.writeable = False
    # A plain view: the pages stay mapped, and arithmetic does not pay for the memmap subclass.
    return array.view(np.ndarray)


def read_lexical(need: Needed) -> LexicalIndex:
    """The lexical index of a bundle that has one."""
    return LexicalIndex.read(need(POSTINGS), need(TERMS))


def check_fit(path: Path, expected: Iterable[tuple[str, Any, Any]]) -> None:
    """Compare what was found with what is wanted: (what it is, found, wanted).

    Raises:
        ContentInvalid: the first thing that differs.
    """
    for what, found, wanted in expected:
        if found != wanted:
            raise ContentInvalid(f"{path}: {what} is {found}, expected {wanted}")


def check_numbers(
    path: Path, arrays: Iterable[tuple[str, np.ndarray | None]], *, kind: str = "f", dims: int | None = None
) -> None:
    """That arrays hold numbers of a kind which are all finite: (what it is, the array), None for one that is not there.

    Args:
        path: of the bundle, or of the file.
        arrays: by what they are.
        kind: `f` for floating point, `i` for integers, as in NumPy.
        dims: how many dimensions they have, where that is not checked otherwise.

    Raises:
        ContentInvalid: the first that does not.
    """
    for what, array in arrays:
        if array is None:
            continue
        if array.dtype.kind != kind or dims not in (None, array.ndim):
            raise ContentInvalid(f"{path}: {what} is of type {array.dtype} in {array.ndim} dimensions; expected {_KINDS[kind]}")
        if not np.isfinite(array).all():
            raise ContentInvalid(f"{path}: {what} holds values that are not finite")


_KINDS = {"f": "floating point numbers", "i": "integers"}


def read_index(path: Path) -> faiss.Index:
    """A FAISS index that holds all that it needs, and answers with rows.

    Raises:
        ContentInvalid: its lists lie in another file, or name other rows than those of the vectors, each once; or it has names of its own.
    """
    index = faiss.read_index(str(path), faiss.IO_FLAG_READ_ONLY)
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexIDMap | faiss.IndexPreTransform | faiss.IndexRefine):
        raise ContentInvalid(
            f"{path} is a {type(inner).__name__}; expected an index of the vectors themselves: flat, a graph or lists"
        )
    if isinstance(inner, faiss.IndexIVF):
        lists = faiss.downcast_InvertedLists(inner.invlists)
        if not isinstance(lists, faiss.ArrayInvertedLists):
            raise ContentInvalid(
                f"{path}: its lists are {type(lists).__name__}, which may lie in another file; expected them in this one"
            )
        named = np.zeros(inner.ntotal, dtype=bool)
        for number in range(lists.nlist):
            size = lists.list_size(number)
            rows = faiss.rev_swig_ptr(lists.get_ids(number), size) if size else np.zeros(0, dtype=np.int64)
            if size and (rows.min() < 0 or rows.max() >= len(named)):
                raise ContentInvalid(f"{path}: list {number} names rows outside of 0 … {len(named) - 1}")
            named[rows] = True
        if not named.all():
            raise ContentInvalid(f"{path}: its lists leave out {int((~named).sum())} of {len(named)} vectors")
    return index


def set_search_parameters(path: Path, index: faiss.Index, parameters: dict[str, int]) -> None:
    """Once, at load: an index in service is never changed.

    Raises:
        ContentInvalid: a parameter is none that searches have.
    """
    if unknown := sorted(parameters.keys() - _SEARCH_PARAMETERS):
        raise ContentInvalid(f"{path}: {unknown[0]!r} is no parameter of a search; expected {' or '.join(_SEARCH_PARAMETERS)}")
    for name, value in parameters.items():
        faiss.ParameterSpace().set_index_parameter(index, name, value)
