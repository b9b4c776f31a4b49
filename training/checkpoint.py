"""Checkpoints: nested states as safetensors and JSON, in a folder that appears whole or not at all. No pickle.

A state is a nest of dicts (string or integer keys), lists and tuples with tensors, numbers, strings, booleans and None as leaves.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from app.bundle import new_folder, sha256_of
from training.errors import DataError

_TENSORS = "tensors.safetensors"
_STATE = "state.json"
_SUMS = "sha256.json"


def save_checkpoint(state: Any, folder: Path) -> None:
    """Replace the checkpoint at `folder`; a reader finds the old one or the new one.

    Raises:
        OSError: it cannot be written; the old one is still there.
    """
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _flatten(state, tensors)
    fresh, old = _beside(folder, "next"), _beside(folder, "old")
    if fresh.is_dir() and not folder.is_dir():
        fresh.rename(folder)  # an earlier save ended between its two renames
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    with new_folder(fresh) as temporary:
        save_file(tensors, temporary / _TENSORS)
        (temporary / _STATE).write_text(json.dumps(skeleton), encoding="utf-8")
        sums = {name: sha256_of(temporary / name) for name in (_TENSORS, _STATE)}
        (temporary / _SUMS).write_text(json.dumps(sums), encoding="utf-8")
    # Renamed, not removed: a folder that is half removed would look like a damaged checkpoint.
    if folder.is_dir():
        folder.rename(old)
    fresh.rename(folder)  # before this only `.next` is the checkpoint; load_checkpoint knows
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path) -> Any | None:
    """The state saved at `folder`, or None where there is no checkpoint.

    Raises:
        DataError: there is one, and it is damaged.
    """
    if not folder.is_dir():
        folder = _beside(folder, "next")
        if not folder.is_dir():
            return None
    try:
        sums = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
        for name in (_TENSORS, _STATE):
            if sha256_of(folder / name) != sums[name]:
                raise ValueError(f"{name} differs from its SHA-256")
        tensors = load_file(folder / _TENSORS)
        skeleton = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        return _unflatten(skeleton, tensors)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder}: the checkpoint is damaged ({error}); remove the folder to start again from the beginning"
        ) from error


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


def _flatten(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    match node:
        case torch.Tensor():
            name = str(len(tensors))
            tensors[name] = node.detach().cpu().clone().contiguous()
            return {"tensor": name}
        case dict():
            # Pairs keep integer keys apart from string ones, which JSON objects would not.
            return {"dict": [[key, _flatten(value, tensors)] for key, value in node.items()]}
        case list() | tuple():
            return {"list": [_flatten(value, tensors) for value in node], "tuple": isinstance(node, tuple)}
        case None | bool() | int() | float() | str():
            return {"value": node}
        case _:
            raise TypeError(f"a checkpoint cannot hold a {type(node).__name__}")


def _unflatten(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if "tensor" in node:
        return tensors[node["tensor"]]
    if "dict" in node:
        return {key: _unflatten(value, tensors) for key, value in node["dict"]}
    if "list" in node:
        values = [_unflatten(value, tensors) for value in node["list"]]
        return tuple(values) if node["tuple"] else values
    return node["value"]
