"""A bundle that ranks documents for texts: what is in it, writing and reading it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pandas as pd

from app.bundle import writing as names
from app.bundle.errors import ContentInvalid
from app.bundle.loading import Needed, check_fit, check_numbers, read_array, read_index, read_lexical, set_search_parameters
from app.bundle.manifest import DenseInfo, FileEntry, FusionInfo, IndexInfo, SearchManifest, TextDataInfo
from app.bundle.search import Fusion, SearchModel
from app.bundle.texts import TextEncoder
from app.bundle.vocabulary import Vocabulary
from app.bundle.writing import Draft, write_folder, write_item_table


@dataclass(frozen=True, slots=True, eq=False)
class SearchBundle:
    """A verified search ranker in memory; nothing in it changes. I documents.

    Attributes:
        path: the folder it was read from.
        manifest: what it says of itself.
        model: lexical index, document vectors, text encoder and fusion.
        items: the documents' ids in row order.
        item_table: in row order: column `id` first, `title` where there are titles, `text`, metadata.
        index: FAISS over the document vectors, its search parameters set; None where there is lexical search alone.
    """

    path: Path
    manifest: SearchManifest
    model: SearchModel
    items: Vocabulary
    item_table: pd.DataFrame
    index: faiss.Index | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchDraft(Draft):
    """Everything that goes into a bundle of search. I documents.

    Attributes:
        model: as trained.
        items: ids in row order.
        item_table: metadata in row order, `text` among it.
        index, index_info: FAISS over the document vectors; both or none.
    """

    data: TextDataInfo
    model: SearchModel
    items: Vocabulary
    item_table: pd.DataFrame
    index: faiss.Index | None = None
    index_info: IndexInfo | None = None


def write_search(draft: SearchDraft, root: Path) -> Path:
    """Write a bundle to `root/NAME/VERSION` and return that path.

    Raises:
        BundleError: the folder exists already.
        OSError: it cannot be written, because the disk is full for instance; nothing is left behind.
    """
    model = draft.model
    assert len(draft.items) == model.num_documents == len(draft.item_table)
    assert (model.encoder is None) == (draft.index is None) == (draft.index_info is None)

    def fill(folder: Path) -> Callable[[list[FileEntry]], SearchManifest]:
        write_item_table(draft.item_table, draft.items, folder)
        model.lexical.write(folder)
        dense = None
        if model.encoder is not None and model.document_vectors_ID is not None and draft.index_info is not None:
            np.save(folder / names.ITEM_VECTORS, model.document_vectors_ID, allow_pickle=False)
            faiss.write_index(draft.index, str(folder / names.ITEM_INDEX))
            (folder / names.ONNX_ENCODER).write_bytes(model.encoder.graph.content())
            (folder / names.TOKENIZER).write_text(model.encoder.tokenizer_json, encoding="utf-8")
            dense = DenseInfo(
                dim=model.encoder.dim,
                query_tokens=model.encoder.query_tokens,
                document_tokens=model.encoder.document_tokens,
                index=draft.index_info,
            )
        return lambda files: SearchManifest(
            **draft.told(files),
            data=draft.data,
            dense=dense,
            fusion=FusionInfo(method=model.fusion.method, dense_weight=model.fusion.dense_weight),
            mode=model.mode,
        )

    return write_folder(root / draft.name / draft.version, fill)


def load_search(path: Path, manifest: SearchManifest) -> SearchBundle:
    """The content of a verified folder.

    Raises:
        ContentInvalid: the files do not fit together.
    """
    need = Needed(path, manifest)
    item_table = pd.read_parquet(need(names.ITEM_TABLE))
    if "text" not in item_table:
        raise ContentInvalid(f"{path}: {names.ITEM_TABLE} has no column text; expected the documents")
    items = Vocabulary("item", item_table["id"].astype(str))
    lexical = read_lexical(need)
    check_fit(path, [("documents in lexical.npz", lexical.num_documents, len(items))])
    fusion = Fusion(manifest.fusion.method, manifest.fusion.dense_weight)
    if manifest.dense is None:
        check_fit(path, [("mode", manifest.mode, "lexical")])
        return SearchBundle(path, manifest, SearchModel(lexical, fusion=fusion), items, item_table, None)
    dense = manifest.dense
    vectors_ID = read_array(need(names.ITEM_VECTORS), mapped=True)
    index = read_index(need(names.ITEM_INDEX))
    encoder = TextEncoder(
        need(names.ONNX_ENCODER),
        need(names.TOKENIZER),
        query_tokens=dense.query_tokens,
        document_tokens=dense.document_tokens,
    )
    check_fit(
        path,
        [
            ("shape of items.npy", vectors_ID.shape, (len(items), dense.dim)),
            ("type of items.npy", vectors_ID.dtype, np.dtype(np.float32)),
            ("inputs and outputs of the encoder", encoder.graph.signature, (TextEncoder.INPUTS, TextEncoder.OUTPUTS)),
            ("dimensions of the encoder", encoder.dim, dense.dim),
            ("vectors in items.faiss", index.ntotal, len(items)),
            ("dimensions of items.faiss", index.d, dense.dim),
            ("metric of items.faiss", index.metric_type, faiss.METRIC_INNER_PRODUCT),
        ],
    )
    check_numbers(path, [("items.npy", vectors_ID)])
    set_search_parameters(path, index, dense.index.parameters)
    return SearchBundle(
        path, manifest, SearchModel(lexical, vectors_ID, encoder, fusion, manifest.mode), items, item_table, index
    )
