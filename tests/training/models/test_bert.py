"""Sentence-BERT: the arithmetic written out, padding without effect, one graph for queries and documents.

Shapes: B texts, L tokens, E width, H heads.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from scipy.special import erf
from torch import nn

from training.export import export_text_encoder
from training.models.bert import SentenceBert
from training.models.dual_encoder import DualEncoder

TOKENS, E, HEADS = 20, 12, 3


def bert(seed: int = 0, num_layers: int = 2) -> SentenceBert:
    generator = torch.Generator().manual_seed(seed)
    made = SentenceBert(
        num_tokens=TOKENS,
        num_positions=16,
        embedding_size=E,
        intermediate_size=20,
        num_layers=num_layers,
        num_heads=HEADS,
        generator=generator,
    )
    with torch.no_grad():
        for (
            weights
        ) in made.parameters():  # far from the small start, where attention is almost uniform and gelu almost straight
            weights.add_(0.5 * torch.randn(weights.shape, generator=generator))
    return made.eval()


def written_out(model: SentenceBert, tokens: list[int]) -> np.ndarray:
    """One text in double precision, by the formulas of Devlin et al. and Vaswani et al., token by token and head by head."""
    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}

    def linear(name: str, x_LE: np.ndarray) -> np.ndarray:
        return x_LE @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, x_LE: np.ndarray) -> np.ndarray:
        centred_LE = x_LE - x_LE.mean(1, keepdims=True)
        scaled_LE = centred_LE / np.sqrt((centred_LE**2).mean(1, keepdims=True) + 1e-12)
        return scaled_LE * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x_LE = weights["tokens_TE"][tokens] + weights["positions_LE"][: len(tokens)] + weights["segment_E"]
    x_LE = norm("norm", x_LE)
    for layer in (f"layers.{number}" for number in range(len(model.layers))):
        query_LE, key_LE, value_LE = np.split(linear(f"{layer}.projections", x_LE), 3, axis=1)
        heads = []
        for head in range(HEADS):
            part = slice(head * E // HEADS, (head + 1) * E // HEADS)
            scores_LL = query_LE[:, part] @ key_LE[:, part].T / np.sqrt(E / HEADS)
            shares_LL = np.exp(scores_LL) / np.exp(scores_LL).sum(1, keepdims=True)
            heads.append(shares_LL @ value_LE[:, part])
        attended_LE = linear(f"{layer}.attention_output", np.concatenate(heads, axis=1))
        x_LE = norm(f"{layer}.attention_norm", x_LE + attended_LE)
        hidden = linear(f"{layer}.intermediate", x_LE)
        hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
        x_LE = norm(f"{layer}.output_norm", x_LE + linear(f"{layer}.output", hidden))
    mean_E: np.ndarray = x_LE.mean(0)
    return mean_E / np.linalg.norm(mean_E)


def test_vectors_are_those_of_the_formulas() -> None:
    """Post-norm layers, exact gelu, ε = 1e-12, the mean over all tokens, length 1."""
    model = bert()
    for tokens in ([3], [5, 1, 7, 7, 2]):
        vectors_BE = model(torch.tensor([tokens])).detach().numpy()
        np.testing.assert_allclose(vectors_BE[0], written_out(model, tokens), atol=2e-6)


def test_padding_and_neighbours_change_nothing() -> None:
    """A text beside longer ones has the vector that it has alone; a text without tokens has zeros, and no NaN."""
    model = bert()
    batch_BL = torch.tensor([[3, 4, 0, 0, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
    together_BE, alone_BE = model(batch_BL), model(batch_BL[:1, :2])
    torch.testing.assert_close(together_BE[:1], alone_BE)
    assert torch.equal(together_BE[2], torch.zeros(E))


def test_the_start_comes_from_the_generator_alone() -> None:
    """Two of the same seed are equal, whatever the global state is; and they leave it alone."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = bert(seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = bert(seed=3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_body_and_heads_are_exported_as_one_graph() -> None:
    """Queries and documents of the graph are the heads over the formulas' vector, each text cut off where its kind is."""
    model, generator = bert(num_layers=1), torch.Generator().manual_seed(1)
    heads = [nn.Linear(E, 5, bias=False) for _ in range(2)]
    for head in heads:
        head.weight = nn.Parameter(torch.randn(5, E, generator=generator))
    vocabulary = {"[PAD]": 0} | {f"w{number}": number for number in range(1, TOKENS)}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w1"},
    }
    encoder = export_text_encoder(
        DualEncoder(model, *heads), json.dumps(tokenizer), num_tokens=TOKENS, query_tokens=2, document_tokens=9
    )
    queries_BD, documents_BD = encoder.encode_queries(["w4 w5 w6"]), encoder.encode_documents(["w2", "w4 w5 w6"])
    weights = [head.weight.detach().numpy() for head in heads]
    np.testing.assert_allclose(queries_BD[0], weights[0] @ written_out(model, [4, 5]), atol=1e-5)
    np.testing.assert_allclose(documents_BD[1], weights[1] @ written_out(model, [4, 5, 6]), atol=1e-5)
