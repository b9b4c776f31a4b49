"""What turns rows of questions and documents into vectors: a table computed once, or a body that learns.

Shapes: B questions, U documents, Q questions in all, I documents in all, L tokens, E width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from app.bundle.texts import padded_tokens
from training.encoders import minilm
from training.encoders.subwords import learn_subwords
from training.errors import ConfigError
from training.loop import Run
from training.models.text_cnn import TextCNN
from training.recipes.irgan_text.config import Config


class FrozenReader(nn.Module):
    """Tables of vectors; nothing in it learns, so both players may share it.

    Args:
        questions_QE: float32.
        documents_IE: float32.
    """

    questions_QE: Tensor
    documents_IE: Tensor

    def __init__(self, questions_QE: np.ndarray, documents_IE: np.ndarray) -> None:
        super().__init__()
        self.dim = documents_IE.shape[1]
        self.register_buffer("questions_QE", torch.from_numpy(questions_QE), persistent=False)
        self.register_buffer("documents_IE", torch.from_numpy(documents_IE), persistent=False)

    def questions(self, rows_B: Tensor, random: torch.Generator | None = None) -> Tensor:  # noqa: ARG002 - nothing is random
        """[B, E]."""
        return self.questions_QE[rows_B]

    def documents(self, rows_U: Tensor, random: torch.Generator | None = None) -> Tensor:  # noqa: ARG002
        """[U, E]."""
        return self.documents_IE[rows_U]


class LearningReader(nn.Module):
    """A body over tokens, its vectors scaled to length 1.

    Args:
        body: tokens [B, L] to vectors [B, E].
        dim: E.
        questions_QL: int32, filled up with `PADDING`.
        documents_IL: the same.
    """

    questions_QL: Tensor
    documents_IL: Tensor

    def __init__(self, body: nn.Module, dim: int, questions_QL: Tensor, documents_IL: Tensor) -> None:
        super().__init__()
        self.body, self.dim = body, dim
        self.register_buffer("questions_QL", questions_QL, persistent=False)
        self.register_buffer("documents_IL", documents_IL, persistent=False)

    def questions(self, rows_B: Tensor, random: torch.Generator | None = None) -> Tensor:
        """[B, E]."""
        return self._read(self.questions_QL[rows_B], random)

    def documents(self, rows_U: Tensor, random: torch.Generator | None = None) -> Tensor:
        """[U, E]."""
        return self._read(self.documents_IL[rows_U], random)

    def _read(self, tokens_BL: Tensor, random: torch.Generator | None) -> Tensor:
        longest = max(1, int((tokens_BL != 0).sum(dim=1).max()))
        tokens_BL = tokens_BL[:, :longest].long()
        vectors_BE = self.body(tokens_BL, random) if isinstance(self.body, TextCNN) else self.body(tokens_BL)
        return nn.functional.normalize(vectors_BE, dim=1)


class UnitLength(nn.Module):
    """A body whose vectors are scaled to length 1, for export."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """[B, E]."""
        return nn.functional.normalize(self.body(tokens_BL), dim=1)


class Library:
    """All texts of a training, and how readers of them are made.

    Args:
        questions: Q texts, real queries first.
        documents: I texts.
        config: which body.
        run: device and progress.

    Raises:
        MissingExtra: the body's weights are not here.
        ConfigError: a body that learns and is too large for this device.
    """

    def __init__(self, questions: Sequence[str], documents: Sequence[str], config: Config, run: Run) -> None:
        if config.unfrozen and run.device.type != "cuda":
            raise ConfigError(
                "unfrozen=true fine-tunes all of MiniLM, which takes hours without a GPU; leave it false, or use --device cuda"
            )
        self._config, self._run = config, run
        self.is_frozen = config.body == "minilm" and not config.unfrozen
        if config.body == "cnn":
            self.tokenizer_json = learn_subwords(documents, config.num_tokens)
            self.num_tokens = Tokenizer.from_str(self.tokenizer_json).get_vocab_size()
        else:
            self.tokenizer_json, self.num_tokens = minilm.tokenizer_json(), minilm.NUM_TOKENS
        if self.is_frozen:
            self._frozen = FrozenReader(
                *(
                    minilm.encode(texts, max_tokens=most, device=run.device, progress=run.progress)
                    for texts, most in ((questions, config.query_tokens), (documents, config.document_tokens))
                )
            ).to(run.device)
        else:
            self._questions_QL = self._tokens(questions, config.query_tokens)
            self._documents_IL = self._tokens(documents, config.document_tokens)

    def reader(self, generator: torch.Generator) -> FrozenReader | LearningReader:
        """A reader of all texts; one that learns starts anew."""
        if self.is_frozen:
            return self._frozen
        body = self._body(generator)
        dim = body.dim if isinstance(body, TextCNN) else minilm.EMBEDDING_SIZE
        return LearningReader(body, dim, self._questions_QL, self._documents_IL).to(self._run.device)

    def body(self, reader: FrozenReader | LearningReader) -> nn.Module:
        """The reader as a module over tokens, for export."""
        return minilm.load() if isinstance(reader, FrozenReader) else UnitLength(reader.body)

    def _body(self, generator: torch.Generator) -> nn.Module:
        if self._config.body == "minilm":
            return minilm.load().requires_grad_(True)
        return TextCNN(
            num_tokens=self.num_tokens,
            embedding_size=self._config.embedding_size,
            widths=self._config.widths,
            num_filters=self._config.num_filters,
            dropout=self._config.dropout,
            generator=generator,
        )

    def _tokens(self, texts: Sequence[str], most: int) -> Tensor:
        tokenizer = Tokenizer.from_str(self.tokenizer_json)
        tokenizer.enable_truncation(most)
        tokens = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
        return torch.from_numpy(padded_tokens(tokens).astype(np.int32))
