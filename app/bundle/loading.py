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


def set_search_parameters(index: faiss.Index, parameters: dict[str, int]) -> None:
    """Once, at load: an index in service is never changed."""
    for name, value in parameters.items():
        faiss.ParameterSpace().set_index_parameter(index, name, value)
