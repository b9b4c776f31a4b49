"""All rankers, in one literal table."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, cast

from training.config import RankerConfig
from training.errors import ConfigError

Kind = Literal["recommender", "search", "rerank"]
"""What a ranker ranks: items for people, documents for texts, or a query's candidates by their features."""


@dataclass(frozen=True, slots=True)
class RankerSpec:
    """A ranker's entry.

    Attributes:
        name: as typed on the command line.
        module: the recipe's module; it offers `Config` and `train`, and is imported when asked for.
        paper: authors, year and title.
        queries: the kinds of query it answers.
        needs: the kind of data it learns from.
        figures: best known figures, in words.
        kind: what it ranks.
    """

    name: str
    module: str
    paper: str
    queries: tuple[str, ...] = ("known user", "history")
    needs: str = "clicks or ratings"
    figures: str = ""
    kind: Kind = "recommender"

    def config(self) -> type[RankerConfig]:
        """The class of its hyper-parameters."""
        return cast("type[RankerConfig]", import_module(self.module).Config)

    def recipe(self) -> Any:
        """Its training function: a `Recipe`, `SearchRecipe` or `RerankRecipe` of `training.ranker`, by its kind."""
        return import_module(self.module).train


def _search(name: str, module: str, paper: str, *, needs: str, figures: str = "") -> RankerSpec:
    return RankerSpec(name, module, paper, ("text",), needs, figures, "search")


def _rerank(name: str, module: str, paper: str, *, figures: str = "") -> RankerSpec:
    return RankerSpec(name, module, paper, ("candidates",), "candidates with features and grades", figures, "rerank")


RANKERS: dict[str, RankerSpec] = {
    spec.name: spec
    for spec in (
        RankerSpec(
            "popularity",
            "training.recipes.popularity",
            "—",
            figures="MovieLens 100K (paper split): nDCG@10 .240, AP .152",
        ),
        RankerSpec(
            "item-knn",
            "training.recipes.item_knn",
            "Sarwar et al. 2001, Item-based collaborative filtering",
            figures="MovieLens 100K (paper split): nDCG@10 .387, AP .256",
        ),
        RankerSpec(
            "puresvd",
            "training.recipes.puresvd",
            "Cremonesi, Koren, Turrin 2010, Performance of recommender algorithms on top-N",
            figures="MovieLens 100K (paper split): nDCG@10 .411, AP .269",
        ),
        RankerSpec(
            "ease",
            "training.recipes.ease",
            "Steck 2019, Embarrassingly shallow autoencoders",
            figures="MovieLens 100K (paper split): nDCG@10 .429, AP .284; with low ratings .480, .328",
        ),
        RankerSpec(
            "ials",
            "training.recipes.ials",
            "Hu, Koren, Volinsky 2008, Collaborative filtering for implicit feedback",
            figures="MovieLens 100K (paper split): nDCG@10 .418, AP .275",
        ),
        RankerSpec(
            "bpr",
            "training.recipes.bpr",
            "Rendle et al. 2009, Bayesian personalized ranking",
            figures="MovieLens 100K (paper split): nDCG@10 .395, AP .268",
        ),
        RankerSpec(
            "irgan",
            "training.recipes.irgan",
            "Wang et al. 2017, IRGAN",
            figures="MovieLens 100K (paper split): nDCG@10 .405, AP .274; published .372, .242",
        ),
        RankerSpec(
            "irgan-history",
            "training.recipes.irgan_history",
            "Wang et al. 2017, IRGAN; both players are history encoders",
            figures="MovieLens 100K (paper split): nDCG@10 .440, AP .297; with low ratings .494, .344",
        ),
        RankerSpec(
            "vae",
            "training.recipes.vae",
            "Liang et al. 2018, Variational autoencoders for collaborative filtering",
            figures="MovieLens 100K (paper split): nDCG@10 .432, AP .292; published, MovieLens 20M: nDCG@100 .426",
        ),
        RankerSpec(
            "vae-gan",
            "training.recipes.vae_gan",
            "Larsen et al. 2016, Autoencoding beyond pixels using a learned similarity metric",
            figures="MovieLens 100K (paper split): nDCG@10 .430, AP .290",
        ),
        RankerSpec(
            "gan",
            "training.recipes.gan",
            "Goodfellow et al. 2014, Generative adversarial nets; Chae et al. 2018, CFGAN",
            figures="MovieLens 100K (paper split): nDCG@10 .424, AP .290",
        ),
        RankerSpec(
            "avb",
            "training.recipes.avb",
            "Mescheder et al. 2017, Adversarial variational Bayes",
            figures="MovieLens 100K (paper split): nDCG@10 .421, AP .285",
        ),
        RankerSpec(
            "rbm",
            "training.recipes.rbm",
            "Hinton 2002, Training products of experts by minimizing contrastive divergence",
            figures="MovieLens 100K (paper split): nDCG@10 .432, AP .290",
        ),
        RankerSpec(
            "nade",
            "training.recipes.nade",
            "Uria et al. 2016, Neural autoregressive distribution estimation",
            figures="MovieLens 100K (paper split): nDCG@10 .435, AP .291",
        ),
        RankerSpec(
            "rbm-cf",
            "training.recipes.rbm_cf",
            "Salakhutdinov, Mnih, Hinton 2007, Restricted Boltzmann machines for collaborative filtering",
            needs="ratings",
            figures="MovieLens 100K (paper split): RMSE .938, nDCG@10 .461; published on Netflix: RMSE .91",
        ),
        RankerSpec(
            "cf-nade",
            "training.recipes.cf_nade",
            "Zheng et al. 2016, A neural autoregressive approach to collaborative filtering",
            needs="ratings",
            figures="MovieLens 100K (paper split): RMSE .885, nDCG@10 .471; Douban: RMSE .717; published: MovieLens 1M .829, Netflix .803",
        ),
        _search(
            "bm25",
            "training.recipes.bm25",
            "Robertson et al. 1994, Okapi at TREC-3",
            needs="documents",
            figures="SciFact: nDCG@10 .679; Cranfield: nDCG@10 .425",
        ),
        _search(
            "irgan-text",
            "training.recipes.irgan_text",
            "Wang et al. 2017, IRGAN; both players are text encoders",
            needs="documents, and judged queries to learn from",
            figures="SciFact: nDCG@10 .831, of unseen documents .751; Cranfield: nDCG@10 .492",
        ),
        _search(
            "irgan-qa",
            "training.recipes.irgan_qa",
            "Wang et al. 2017, IRGAN; QA-CNN, or heads over a sentence encoder",
            needs="documents, and questions with answers and candidates",
            figures="WikiQA: MAP .673 by the CNN, .783 over MiniLM (untrained .719); published by others: CNN-Cnt .652",
        ),
        _rerank(
            "irgan-ltr",
            "training.recipes.irgan_ltr",
            "Wang et al. 2017, IRGAN",
            figures="MQ2008: AP .482, nDCG@10 .517; LETOR's best: AP .478",
        ),
        _rerank(
            "lambdamart",
            "training.recipes.lambdamart",
            "Wu, Burges, Svore, Gao 2010, Adapting boosting for information retrieval measures",
            figures="MQ2008: AP .477, nDCG@10 .513",
        ),
        _rerank(
            "listnet",
            "training.recipes.listnet",
            "Cao et al. 2007, Learning to rank: from pairwise approach to listwise approach",
            figures="MQ2008: AP .475, nDCG@10 .510; LETOR's: AP .478",
        ),
        _rerank(
            "ranknet",
            "training.recipes.ranknet",
            "Burges et al. 2005, Learning to rank using gradient descent",
            figures="MQ2008: AP .475, nDCG@10 .510",
        ),
    )
}


RECOMMENDERS: dict[str, RankerSpec] = {name: spec for name, spec in RANKERS.items() if spec.kind == "recommender"}
"""Those that rank items for people."""


def ranker(name: str) -> RankerSpec:
    """The entry of one ranker.

    Raises:
        ConfigError: no such ranker; the message lists those there are.
    """
    spec = RANKERS.get(name)
    if spec is None:
        raise ConfigError(f"no ranker {name!r}; there are {', '.join(RANKERS)}")
    return spec
