"""Bundles whose every hash is right and whose content is not: what somebody might make who can write the folder of releases."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd

from tests.faults.bundles import sign, write_manifest

Attack = Callable[[Path], None]


def _manifest(change: Callable[[dict[str, Any]], None]) -> Attack:
    def attack(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        change(manifest)
        write_manifest(folder, manifest)

    return attack


def _said(place: str, value: Any) -> Attack:
    """Of the manifest, one value; places are written `scoring.dim`."""

    def change(manifest: dict[str, Any]) -> None:
        *parts, last = place.split(".")
        for part in parts:
            manifest = manifest[part]
        manifest[last] = value

    return _manifest(change)


def _listed(path: str, **said: Any) -> Attack:
    """One more file, which the manifest says to be empty."""
    entry = {"path": path, "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", **said}
    return _manifest(lambda manifest: manifest["files"].append(entry))


def _array(name: str, change: Callable[[np.ndarray], np.ndarray], *, allow_pickle: bool = False) -> Attack:
    def attack(folder: Path) -> None:
        with (folder / name).open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
        np.save(folder / name, change(array), allow_pickle=allow_pickle)
        sign(folder)

    return attack


def _arrays(name: str, key: str, change: Callable[[np.ndarray], np.ndarray], *, allow_pickle: bool = False) -> Attack:
    def attack(folder: Path) -> None:
        with np.load(folder / name, allow_pickle=False) as stored:
            arrays = dict(stored)
        arrays[key] = change(arrays[key])
        np.savez(folder / name, allow_pickle=allow_pickle, **arrays)
        sign(folder)

    return attack


def _table(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Attack:
    def attack(folder: Path) -> None:
        change(pd.read_parquet(folder / name)).to_parquet(folder / name, index=False)
        sign(folder)

    return attack


def _bytes(name: str, change: Callable[[bytes], bytes]) -> Attack:
    def attack(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        sign(folder)

    return attack


def _json(name: str, change: Callable[[dict[str, Any]], None]) -> Attack:
    def changed(content: bytes) -> bytes:
        parsed = json.loads(content)
        change(parsed)
        return json.dumps(parsed).encode()

    return _bytes(name, changed)


def _index(change: Callable[[faiss.Index], faiss.Index]) -> Attack:
    def attack(folder: Path) -> None:
        read = faiss.read_index(str(folder / "items.faiss"))  # what is downcast belongs to it
        index = change(faiss.downcast_index(read))
        faiss.write_index(index, str(folder / "items.faiss"))
        sign(folder)

    return attack


def _with(value: Any, at: Any = 0) -> Callable[[np.ndarray], np.ndarray]:
    """An array with one element changed."""

    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.reshape(-1)[at] = value
        return array

    return change


def _objects(array: np.ndarray) -> np.ndarray:
    return np.array([_Surprise()] * len(array), dtype=object)


class _Surprise:
    """Leaves a trace where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(SURPRISE),)


SURPRISE = "/tmp/irgan-unpickled"
"""A file that is there once a bundle has run code."""


def _huge_header(content: bytes) -> bytes:
    """An array that says it has 2⁵⁰ rows."""
    start = content.index(b"(")
    end = content.index(b")") + 1
    shape = b"(%d, 8)" % 2**50
    return content[:start] + shape + content[end : end + 118 - len(shape) - start] + content[end:]


def _ids(index: faiss.IndexIVF, change: Callable[[np.ndarray], np.ndarray]) -> faiss.Index:
    """An inverted file with other ids in its lists."""
    lists = faiss.extract_index_ivf(index).invlists
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
            codes = faiss.rev_swig_ptr(lists.get_codes(number), size * index.code_size).copy()
            ids = np.ascontiguousarray(change(ids), dtype=np.int64)
            lists.update_entries(number, 0, size, faiss.swig_ptr(ids), faiss.swig_ptr(codes))
    return index


def _neighbours(index: faiss.IndexHNSW, value: int) -> faiss.Index:
    """A graph whose every edge leads to one place."""
    size = index.hnsw.neighbors.size()
    edges = faiss.vector_to_array(index.hnsw.neighbors)
    edges[:] = value
    faiss.copy_array_to_vector(edges[:size], index.hnsw.neighbors)
    return index


def _entry(index: faiss.IndexHNSW, value: int) -> faiss.Index:
    index.hnsw.entry_point = value
    return index


def _on_disk(folder: Path) -> None:
    """Lists that are to be read from a file elsewhere."""
    read = faiss.read_index(str(folder / "items.faiss"))
    index = faiss.downcast_index(read)
    elsewhere = folder.parent / "elsewhere.ivfdata"
    lists = faiss.OnDiskInvertedLists(index.nlist, index.code_size, str(elsewhere))
    numbers = [number for number in range(index.nlist) if index.invlists.list_size(number)]
    for number in numbers:
        size = index.invlists.list_size(number)
        lists.add_entries(number, size, index.invlists.get_ids(number), index.invlists.get_codes(number))
    index.replace_invlists(lists)
    faiss.write_index(index, str(folder / "items.faiss"))
    sign(folder)


def _other_index(factory: str, dim: int, num_items: int, metric: int = faiss.METRIC_INNER_PRODUCT) -> Attack:
    def attack(folder: Path) -> None:
        vectors_ID = np.random.default_rng(0).normal(size=(num_items, dim)).astype(np.float32)
        index = faiss.index_factory(dim, factory, metric)
        inner = faiss.downcast_index(index)
        for part in (inner, getattr(inner, "pq", None)):  # so few vectors are no mistake here
            if hasattr(part, "cp"):
                part.cp.min_points_per_centroid = 1
        index.train(vectors_ID)
        if "IDMap" in factory:
            index.add_with_ids(vectors_ID, 10**9 + np.arange(num_items))
        else:
            index.add(vectors_ID)
        faiss.write_index(index, str(folder / "items.faiss"))
        sign(folder)

    return attack


def _bomb(name: str, key: str) -> Attack:
    """An archive of a few megabytes that becomes several gigabytes."""

    def attack(folder: Path) -> None:
        with np.load(folder / name, allow_pickle=False) as stored:
            arrays = {field: stored[field] for field in stored if field != key}
        np.savez(folder / name, allow_pickle=False, **arrays)
        header = np.lib.format.header_data_from_array_1_0(np.zeros(0, dtype=np.int64)) | {"shape": (2**30,)}
        with (
            zipfile.ZipFile(folder / name, "a", zipfile.ZIP_DEFLATED) as archive,
            archive.open(f"{key}.npy", "w", force_zip64=True) as file,
        ):
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(64):
                file.write(bytes(2**20))
        sign(folder)

    return attack


def _graph(name: str, change: Callable[[Any], None]) -> Attack:
    def attack(folder: Path) -> None:
        import onnx  # noqa: PLC0415 - only with the extra `train`

        model = onnx.load_model(folder / name, load_external_data=False)
        change(model)
        (folder / name).write_bytes(model.SerializeToString())
        sign(folder)

    return attack


def _external(location: str) -> Callable[[Any], None]:
    """Weights that lie in a file elsewhere."""

    def change(model: Any) -> None:
        from onnx import TensorProto  # noqa: PLC0415 - likewise

        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "4096")):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    return change


def _first_node(operator: str, domain: str = "") -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.graph.node[0].op_type, model.graph.node[0].domain = operator, domain
        if domain:
            entry = model.opset_import.add()
            entry.domain, entry.version = domain, 1

    return change


def _weights(value: float) -> Callable[[Any], None]:
    """All numbers of the graph are one number."""

    def change(model: Any) -> None:
        from onnx import numpy_helper  # noqa: PLC0415 - likewise

        for tensor in model.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.dtype.kind == "f":
                tensor.CopyFrom(numpy_helper.from_array(np.full_like(array, value), tensor.name))

    return change


def _nested(depth: int) -> Any:
    value: Any = 1.0
    for _ in range(depth):
        value = {"a": value}
    return value


_NAN, _INF = float("nan"), float("inf")

EVERYWHERE: dict[str, Attack] = {
    "a file above the folder": _listed("../outside"),
    "a file by its whole path": _listed("/etc/hostname"),
    "a file without a name": _listed(""),
    "the folder itself": _listed("."),
    "the folder above": _listed(".."),
    "a file in another folder": _listed("a/b"),
    "a name with a zero": _listed("a\0b"),
    "a name that never ends": _listed("a" * 5000),
    "a name that is no text": _listed("\ud800"),
    "a file of less than nothing": _listed("more", size=-1),
    "a file larger than all": _listed("more", size=10**30),
    "a hash that is none": _listed("more", sha256="E" * 64),
    "the manifest itself": _listed("manifest.json"),
    "no files": _said("files", []),
    "files that are no list": _said("files", {}),
    "another kind": _said("kind", "surprise"),
    "the end of time": _said("created", "9999-12-31T23:59:59.999999-23:59"),
    "before all time": _said("created", "0001-01-01T00:00:00+23:59"),
    "a name that goes up": _said("name", ".."),
    "a version that goes up": _said("version", "../../v1"),
    "the name of another": _said("name", "other"),
    "figures that are none": _said("metrics", {"test": {"nDCG@10": _NAN, "RR": _INF}}),
    "figures in figures": _said("metrics", _nested(400)),
    "figures without end": _said("metrics", _nested(900)),
    "figures beyond all": _said("metrics", {"test": 10**400}),
    "figures of other kinds": _said("metrics", {"test": ["x" * 1000, None, True, -(2**63), 1e308], "\u202e": {}}),
    "figures deep in figures": _said("metrics", _nested(30)),
    "a seed beyond all": _said("seed", 10**400),
    "a manifest in a manifest": _manifest(lambda manifest: manifest.update(manifest=dict(manifest))),
}
"""For bundles of every kind."""

_ITEMS: dict[str, Attack] = {
    "ids twice": _table("items.parquet", lambda table: table.assign(id=["i0"] * len(table))),
    "ids that are missing": _table("items.parquet", lambda table: table.assign(id=[None] * len(table))),
    "no ids": _table("items.parquet", lambda table: table.drop(columns="id")),
    "items too few": _table("items.parquet", lambda table: table.iloc[:-1]),
    "no items": _table("items.parquet", lambda table: table.iloc[:0]),
    "metadata of bytes": _table("items.parquet", lambda table: table.assign(year=[b"\xff\x00"] * len(table))),
    "metadata of numbers that are none": _table(
        "items.parquet", lambda table: table.assign(year=[_NAN, _INF] * (len(table) // 2))
    ),
    "metadata in metadata": _table("items.parquet", lambda table: table.assign(genres=[{"a": [{"b": [1.5]}]}] * len(table))),
    "titles that are numbers": _table("items.parquet", lambda table: table.assign(title=1.5)),
    "postings outside": _arrays("lexical.npz", "rows", _with(10**6)),
    "postings below": _arrays("lexical.npz", "rows", _with(-1)),
    "postings of fractions": _arrays("lexical.npz", "rows", lambda array: array + 0.5),
    "postings by names": _arrays("lexical.npz", "rows", lambda array: array.astype("U9")),
    "weights that are none": _arrays("lexical.npz", "weights", _with(_NAN)),
    "weights without bounds": _arrays("lexical.npz", "weights", _with(3e38, slice(None))),
    "terms that go back": _arrays("lexical.npz", "starts", _with(-5, 1)),
    "terms of fractions": _arrays("lexical.npz", "starts", lambda array: array.astype(np.float64)),
    "weights by code": _arrays("lexical.npz", "weights", _objects, allow_pickle=True),
    "words in a bomb": _bomb("lexical.npz", "starts"),
    "documents beyond all": _json("lexical.json", lambda told: told.update(documents=10**15)),
    "lengths that are none": _json("lexical.json", lambda told: told.update(average_length=_NAN)),
    "lengths without end": _json("lexical.json", lambda told: told.update(average_length=_INF)),
    "a constant that is none": _json("lexical.json", lambda told: told.update(k1=_NAN)),
    "terms that are no words": _json("lexical.json", lambda told: told.update(terms=list(range(len(told["terms"]))))),
    "a language that nobody speaks": _json("lexical.json", lambda told: told.update(language="../english")),
}
_VECTORS: dict[str, Attack] = {
    "vectors that are none": _array("items.npy", _with(_NAN)),
    "vectors without end": _array("items.npy", _with(_INF)),
    "vectors as long as can be": _array("items.npy", lambda array: np.full_like(array, 3e38)),
    "vectors by columns": _array("items.npy", np.asfortranarray),
    "vectors of another machine": _array("items.npy", lambda array: array.astype(">f4")),
    "vectors of more": _array("items.npy", lambda array: array.astype(np.float64)),
    "vectors turned": _array("items.npy", lambda array: np.ascontiguousarray(array.T)),
    "vectors in a row": _array("items.npy", lambda array: array.reshape(-1)),
    "one vector": _array("items.npy", lambda array: array.sum()),
    "vectors by code": _array("items.npy", _objects, allow_pickle=True),
    "vectors beyond all": _bytes("items.npy", _huge_header),
    "an index of lists": _other_index("IVF4,Flat", 4, 30),
    "an index of other dimensions": _other_index("Flat", 4, 30),
    "an index of fewer": _other_index("Flat", 8, 29),
    "an index of another distance": _other_index("Flat", 8, 30, faiss.METRIC_L2),
    "an index of angles": _other_index("Flat", 8, 30, faiss.METRIC_Canberra),
    "an index of other names": _other_index("IDMap,Flat", 8, 30),
    "an index in an index": _other_index("PCA4,Flat", 8, 30),
    "an index of codes": _other_index("SQ8", 8, 30),
    "an index of products": _other_index("PQ4x2", 8, 29),
    "an index that refines": _other_index("SQ8,Refine(Flat)", 8, 30),
}
_PEOPLE: dict[str, Attack] = {
    "popularity that is none": _array("popularity.npy", _with(_NAN)),
    "popularity without end": _array("popularity.npy", _with(_INF)),
    "popularity by names": _array("popularity.npy", lambda array: array.astype("U9")),
    "popularity of complex numbers": _array("popularity.npy", lambda array: array.astype(np.complex64)),
    "popularity by code": _array("popularity.npy", _objects, allow_pickle=True),
    "users twice": _table("users.parquet", lambda table: table.assign(id=["u0"] * len(table))),
    "users too few": _table("users.parquet", lambda table: table.iloc[:-1]),
    "histories of items outside": _arrays("seen.npz", "items", _with(10**6)),
    "histories of items below": _arrays("seen.npz", "items", _with(-1)),
    "histories of fractions": _arrays("seen.npz", "items", lambda array: array + 0.5),
    "histories of names": _arrays("seen.npz", "items", lambda array: array.astype("U9")),
    "histories in two dimensions": _arrays("seen.npz", "items", lambda array: array.reshape(-1, 1)),
    "histories that go back": _arrays("seen.npz", "offsets", _with(-1, 1)),
    "histories by fractions": _arrays("seen.npz", "offsets", lambda array: array.astype(np.float64)),
    "histories that turn over": _arrays("seen.npz", "offsets", lambda array: array.astype(np.uint64)),
    "ratings without end": _arrays("seen.npz", "ratings", _with(_INF, slice(None))),
    "ratings by names": _arrays("seen.npz", "ratings", lambda array: array.astype("U9")),
    "histories by code": _arrays("seen.npz", "items", _objects, allow_pickle=True),
    "histories in a bomb": _bomb("seen.npz", "items"),
    "dimensions beyond all": _said("scoring.dim", 10**15),
    "dimensions below": _said("scoring.dim", -1),
    "a threshold that is none": _said("history.positive_threshold", _NAN),
    "a parameter that is none": _said("index.parameters", {"verbose": 1}),
    "an index parameter by another name": _said("index.parameters", {"../x": 1}),
}
_LINEAR: dict[str, Attack] = {
    "an exponent that is none": _said("encoder.exponent", _NAN),
    "an exponent without bounds": _said("encoder.exponent", -1e300),
    "a weight without end": _said("encoder.low_weight", _INF),
    "a table that is none": _arrays("encoder.npz", "table", _with(_NAN, slice(None))),
    "a table without bounds": _arrays("encoder.npz", "table", _with(3e38, slice(None))),
    "a table of names": _arrays("encoder.npz", "table", lambda array: array.astype("U9")),
    "a table in a row": _arrays("encoder.npz", "table", lambda array: array[:, 0]),
    "a table of other dimensions": _arrays("encoder.npz", "table", lambda array: array[:, 1:]),
    "an intercept that is none": _arrays("encoder.npz", "intercept", _with(_NAN)),
    "an intercept of other dimensions": _arrays("encoder.npz", "intercept", lambda array: array[:-1]),
    "a table by code": _arrays("encoder.npz", "table", lambda _: np.array([_Surprise()]), allow_pickle=True),
}


def _graphs(name: str) -> dict[str, Attack]:
    return {
        "weights elsewhere": _graph(name, _external("/etc/passwd")),
        "weights above the folder": _graph(name, _external("../../outside")),
        "an operator of somebody's": _graph(name, _first_node("Run", "somebody")),
        "an operator of Python's": _graph(name, _first_node("PyOp", "com.microsoft")),
        "weights that are no numbers": _graph(name, _weights(_NAN)),
        "weights without an end": _graph(name, _weights(_INF)),
        "weights at the bounds": _graph(name, _weights(3e38)),
        "no graph": _bytes(name, lambda _: b"\x08\x08"),
        "a pickle": _bytes(name, lambda _: b"cposix\nsystem\n(S'touch " + SURPRISE.encode() + b"'\ntR."),
    }


ATTACKS: dict[str, dict[str, Attack]] = {
    "two stages": _ITEMS | _VECTORS | _PEOPLE | _LINEAR | _graphs("rescorer.onnx") | {
        "candidates beyond all": _said("rescorer.candidates", 10**18),
        "candidates without end": _said("rescorer.candidates", 10**30),
    },
    "identity": {
        "queries that are none": _array("users.npy", _with(_NAN)),
        "queries without end": _array("users.npy", _with(_INF, slice(None))),
        "queries of other dimensions": _array("users.npy", lambda array: array[:, 1:]),
        "queries of more": _array("users.npy", lambda array: array.astype(np.float64)),
        "queries of names": _array("users.npy", lambda array: array.astype("U9")),
    },
    "inverted lists": {
        "rows outside": _index(lambda index: _ids(index, lambda ids: ids + 10**6)),
        "rows far outside": _index(lambda index: _ids(index, lambda ids: ids + 2**62)),
        "rows below": _index(lambda index: _ids(index, lambda ids: -2 - ids)),
        "one row": _index(lambda index: _ids(index, np.zeros_like)),
        "lists elsewhere": _on_disk,
        "no lists to look into": _said("index.parameters", {"nprobe": 0}),
        "lists below": _said("index.parameters", {"nprobe": -1}),
        "lists beyond all": _said("index.parameters", {"nprobe": 2**31 - 1}),
        "lists without end": _said("index.parameters", {"nprobe": 10**30}),
    },
    "graph": {
        "edges outside": _index(lambda index: _neighbours(index, 10**6)),
        "edges far outside": _index(lambda index: _neighbours(index, 2**31 - 1)),
        "edges below": _index(lambda index: _neighbours(index, -7)),
        "edges in a circle": _index(lambda index: _neighbours(index, 0)),
        "a way in outside": _index(lambda index: _entry(index, 10**6)),
        "a way in below": _index(lambda index: _entry(index, -7)),
        "nothing to look at": _said("index.parameters", {"efSearch": 0}),
        "less than nothing to look at": _said("index.parameters", {"efSearch": -1}),
        "more to look at than all": _said("index.parameters", {"efSearch": 2**31 - 1}),
    },
    "search": _ITEMS | _VECTORS | _graphs("encoder.onnx") | {
        "texts that are no texts": _table("items.parquet", lambda table: table.assign(text=1.5)),
        "no texts": _table("items.parquet", lambda table: table.drop(columns="text")),
        "tokens beyond all": _said("dense.query_tokens", 10**30),
        "tokens without bounds": _said("dense.document_tokens", 2**63 - 1),
        "more weight than all": _said("fusion.dense_weight", 1e308),
        "tokens that the graph does not know": _json(
            "tokenizer.json", lambda told: told["model"].update(vocab={word: token + 10**6 for word, token in told["model"]["vocab"].items()})
        ),
        "no words": _json("tokenizer.json", lambda told: told["model"].update(vocab={})),
        "a normaliser of nonsense": _json(
            "tokenizer.json", lambda told: told.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA/////w=="})
        ),
        "an endless expression": _json(
            "tokenizer.json",
            lambda told: told.update(
                pre_tokenizer={"type": "Split", "pattern": {"Regex": "(" * 5000}, "behavior": "Removed", "invert": False}
            ),
        ),
    },
    "words alone": _ITEMS,
    "rerank": _graphs("ranker.onnx") | {
        "features beyond all": _said("data.num_features", 10**15),
        "features below": _said("data.num_features", -1),
    },
}  # fmt: skip
"""Of each form of bundle."""

HARMLESS = {
    # Who publishes it goes by what it calls itself; a service that finds it elsewhere refuses it.
    "the name of another",
    # Nobody but a reader would mind.
    "figures of other kinds", "figures deep in figures",
    # Unusual, but what it says is what is answered.
    "metadata of bytes", "metadata of numbers that are none", "metadata in metadata", "titles that are numbers",
    "texts that are no texts", "vectors by columns", "vectors as long as can be", "an index of codes",
    "queries of more", "candidates beyond all", "candidates without end", "lists beyond all", "more to look at than all",
    "edges in a circle", "tokens without bounds", "weights at the bounds",
    # No numbers come of it, so popularity answers.
    "an exponent without bounds", "a table without bounds",
}  # fmt: skip
"""What is answered from all the same, and rightly so."""
