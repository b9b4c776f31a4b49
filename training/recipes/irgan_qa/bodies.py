"""What reads questions and answers: QA-CNN over subwords, or heads over a frozen sentence encoder.

Shapes: B questions, N answers, I documents, L tokens of the longest, D dimensions, F features of MiniLM's layers, E the last layer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from app.bundle import TextEncoder
from app.bundle.texts import padded_tokens
from training.data import TextSplit
from training.encoders import minilm
from training.encoders.cooccurrence import cooccurrence_embeddings
from training.encoders.minilm_layers import NUM_FEATURES, LayerMeans, encode_layers
from training.encoders.subwords import learn_subwords
from training.export import export_text_encoder
from training.loop import Run
from training.models.answer_heads import AnswerHeads
from training.models.bert import SentenceBert
from training.models.text_cnn import TextCNN
from training.recipes.irgan_qa.config import Config

_FEATURE_SIZE = 0.05
"""Standard deviation of a feature: with a thousand of them, a text's features are about as long as its sentence vector."""


class Body(Protocol):
    """Texts of one collection, and players that read them."""

    def player(self, random: torch.Generator) -> Any:
        """A new player, an `nn.Module`."""
        ...

    def queries(self, player: Any, rows: np.ndarray, random: torch.Generator | None = None) -> Tensor:
        """Vectors of questions by their rows, [B, D]; with `random` as in training."""
        ...

    def documents(self, player: Any, rows: np.ndarray, random: torch.Generator | None = None) -> Tensor:
        """Vectors of documents by their rows, [N, D]."""
        ...

    def export(self, players: Sequence[Any]) -> tuple[TextEncoder, np.ndarray]:
        """The mean of the players' scores as one encoder, and its vectors of all documents, float32 [I, D]."""
        ...


def make_body(data: TextSplit, config: Config, run: Run) -> Body:
    """The body that the settings name."""
    return CnnBody(data, config, run) if config.body == "cnn" else MinilmBody(data, config, run)


class CnnBody:
    """Cosines of one CNN's vectors for questions and answers."""

    def __init__(self, data: TextSplit, config: Config, run: Run) -> None:
        assert config.document_tokens is not None
        self._config, self._device = config, run.device
        self._most_tokens = config.document_tokens
        self._texts = data.collection.texts()
        self._tokenizer_json = learn_subwords(self._texts, config.num_tokens)
        tokenizer = Tokenizer.from_str(self._tokenizer_json)
        tokenizer.enable_truncation(self._most_tokens)
        self._document_tokens = [encoding.ids for encoding in tokenizer.encode_batch(self._texts)]
        tokenizer.enable_truncation(config.query_tokens)
        self._query_tokens = [encoding.ids for encoding in tokenizer.encode_batch(list(data.collection.query_texts))]
        self._embeddings_TE: Tensor | None = None
        if config.embeddings == "cooccurrence":
            embeddings = cooccurrence_embeddings(
                [*self._document_tokens, *(self._query_tokens[row] for row in np.unique(data.train.query_rows))],
                num_tokens=config.num_tokens,
                embedding_size=config.embedding_size,
            )
            self._embeddings_TE = torch.from_numpy(embeddings)

    def player(self, random: torch.Generator) -> TextCNN:
        """A CNN at its start."""
        config = self._config
        assert config.dropout is not None
        return TextCNN(
            num_tokens=config.num_tokens,
            embedding_size=config.embedding_size,
            widths=config.widths,
            num_filters=config.num_filters,
            dropout=config.dropout,
            generator=random,
            embeddings_TE=self._embeddings_TE,
        ).to(self._device)

    def queries(self, player: TextCNN, rows: np.ndarray, random: torch.Generator | None = None) -> Tensor:
        """Of length 1."""
        return self._vectors(player, [self._query_tokens[row] for row in rows], random)

    def documents(self, player: TextCNN, rows: np.ndarray, random: torch.Generator | None = None) -> Tensor:
        """Of length 1."""
        return self._vectors(player, [self._document_tokens[row] for row in rows], random)

    def _vectors(self, player: TextCNN, tokens: list[list[int]], random: torch.Generator | None) -> Tensor:
        tokens_BL = torch.from_numpy(padded_tokens(tokens)).to(self._device)
        return functional.normalize(player(tokens_BL, random), dim=1)

    def export(self, players: Sequence[TextCNN]) -> tuple[TextEncoder, np.ndarray]:
        """The players' vectors side by side."""
        encoder = export_text_encoder(
            _SideBySide([player.cpu() for player in players]),
            self._tokenizer_json,
            num_tokens=self._config.num_tokens,
            query_tokens=self._config.query_tokens,
            document_tokens=self._most_tokens,
        )
        return encoder, encoder.encode_documents(self._texts)


class _SideBySide(nn.Module):
    """The vectors of several CNNs, scaled so that inner products are the mean cosine."""

    def __init__(self, players: Sequence[TextCNN]) -> None:
        super().__init__()
        self.players = nn.ModuleList(players)

    def forward(self, tokens_BL: Tensor) -> tuple[Tensor, Tensor]:
        vectors_BD = torch.cat([functional.normalize(player(tokens_BL), dim=1) for player in self.players], dim=1)
        vectors_BD = vectors_BD * len(self.players) ** -0.5
        return vectors_BD, vectors_BD + 0.0  # one tensor cannot be two outputs of a graph


class MinilmBody:
    """The cosine of MiniLM's vectors, and heads over three of its layers; only the heads learn."""

    def __init__(self, data: TextSplit, config: Config, run: Run) -> None:
        self._config, self._device = config, run.device
        assert config.document_tokens is not None
        self._document_tokens = config.document_tokens
        collection = data.collection
        known = np.unique(data.train.query_rows)
        encoded_NF = encode_layers(
            [collection.query_texts[row] for row in known],
            max_tokens=config.query_tokens,
            device=run.device,
            progress=run.progress,
        )
        queries_QF = np.zeros((len(collection.query_texts), NUM_FEATURES), dtype=np.float32)
        queries_QF[known] = encoded_NF
        documents_IF = encode_layers(
            collection.texts(), max_tokens=self._document_tokens, device=run.device, progress=run.progress
        )
        self._queries_QF, self._documents_IF = torch.from_numpy(queries_QF), torch.from_numpy(documents_IF)
        self._query_scaling = _Scaling(torch.from_numpy(encoded_NF))
        self._document_scaling = _Scaling(self._documents_IF)

    def player(self, random: torch.Generator) -> AnswerHeads:
        """Heads at their start."""
        config = self._config
        assert config.dropout is not None
        heads = AnswerHeads(num_features=NUM_FEATURES, rank=config.rank, dropout=config.dropout, generator=random)
        return heads.to(self._device)

    def queries(self, player: AnswerHeads, rows: np.ndarray, random: torch.Generator | None = None) -> Tensor:
        """Of the encoder and the heads."""
        features_BF = self._queries_QF[torch.from_numpy(rows)]
        sentences_BE, scaled_BF = features_BF[:, : minilm.EMBEDDING_SIZE], self._query_scaling(features_BF)
        return player.queries(sentences_BE.to(self._device), scaled_BF.to(self._device), random)

    def documents(self, player: AnswerHeads, rows: np.ndarray, random: torch.Generator | None = None) -> Tensor:
        """Of the encoder and the heads."""
        features_NF = self._documents_IF[torch.from_numpy(rows)]
        sentences_NE, scaled_NF = features_NF[:, : minilm.EMBEDDING_SIZE], self._document_scaling(features_NF)
        return player.documents(sentences_NE.to(self._device), scaled_NF.to(self._device), random)

    @torch.no_grad()
    def export(self, players: Sequence[AnswerHeads]) -> tuple[TextEncoder, np.ndarray]:
        """The encoder with the heads of all players; the documents' vectors come from the cached ones."""
        graph = _WithHeads(minilm.load(), [player.cpu() for player in players], self._query_scaling, self._document_scaling)
        documents_ID = graph.documents(self._documents_IF).numpy()
        encoder = export_text_encoder(
            graph,
            minilm.tokenizer_json(),
            num_tokens=minilm.NUM_TOKENS,
            query_tokens=self._config.query_tokens,
            document_tokens=self._document_tokens,
        )
        return encoder, np.ascontiguousarray(documents_ID, dtype=np.float32)


class _Scaling(nn.Module):
    """Features minus their mean, all on one scale."""

    mean_F: Tensor
    factor: Tensor

    def __init__(self, features_NF: Tensor) -> None:
        super().__init__()
        mean_F = features_NF.double().mean(dim=0)
        deviation = (features_NF.double() - mean_F).square().mean().sqrt().clamp(min=1e-6)
        self.register_buffer("mean_F", mean_F.float())
        self.register_buffer("factor", (_FEATURE_SIZE / deviation).float())

    def forward(self, features_BF: Tensor) -> Tensor:
        return (features_BF - self.mean_F) * self.factor


class _WithHeads(nn.Module):
    """Tokens to the vectors of both sides: MiniLM's own once, the heads of all players beside each other."""

    def __init__(
        self, bert: SentenceBert, players: Sequence[AnswerHeads], query_scaling: _Scaling, document_scaling: _Scaling
    ) -> None:
        super().__init__()
        self.layers = LayerMeans(bert)
        self.heads = nn.ModuleList(players)
        self.query_scaling, self.document_scaling = query_scaling, document_scaling
        self._players = tuple(players)

    def forward(self, tokens_BL: Tensor) -> tuple[Tensor, Tensor]:
        features_BF = self.layers(tokens_BL)
        sentences_BE, scaled_BF = features_BF[:, : minilm.EMBEDDING_SIZE], self.query_scaling(features_BF)
        nothing_B0 = sentences_BE[:, :0]
        heads = [player.queries(nothing_B0, scaled_BF) for player in self._players]
        return torch.cat([sentences_BE, *heads], dim=1), self.documents(features_BF)

    def documents(self, features_NF: Tensor) -> Tensor:
        sentences_NE, scaled_NF = features_NF[:, : minilm.EMBEDDING_SIZE], self.document_scaling(features_NF)
        nothing_N0 = sentences_NE[:, :0]
        heads = [player.documents(nothing_N0, scaled_NF) / len(self._players) for player in self._players]
        return torch.cat([sentences_NE, *heads], dim=1)
