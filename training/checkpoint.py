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

from app.bundle import new_folder
from training.errors import DataError

_TENSORS = "tensors.safetensors"
_STATE = "state.json"


def save_checkpoint(state: Any, folder: Path) -> None:
    """Replace the checkpoint at `folder`; a reader finds the old one or the new one.

    Raises:
        OSError: it cannot be written; the old one is still there.
    """
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _flatten(state, tensors)
    fresh = folder.with_name(f"{folder.name}.next")
    shutil.rmtree(fresh, ignore_errors=True)
    with new_folder(fresh) as temporary:
        save_file(tensors, temporary / _TENSORS)
        (temporary / _STATE).write_text(json.dumps(skeleton), encoding="utf-8")
    # Between the two steps only `.next` exists; load_checkpoint knows.
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def load_checkpoint(folder: Path) -> Any | None:
    """The state saved at `folder`, or None where there is no checkpoint.

    Raises:
        DataError: there is one, and it is damaged.
    """
    if not folder.is_dir():
        folder = folder.with_name(f"{folder.name}.next")
        if not folder.is_dir():
            return None
    try:
        tensors = load_file(folder / _TENSORS)
        skeleton = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        return _unflatten(skeleton, tensors)
    except (OSError, SafetensorError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder}: the checkpoint is damaged ({error}); remove the folder to start again from the beginning"
        ) from error


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
