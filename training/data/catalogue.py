"""Public data sets that have a name, in one literal table."""

from __future__ import annotations

from dataclasses import dataclass

from training.errors import DataError


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A public data set.

    Attributes:
        name: as typed on the command line, and its folder in `$IRGAN_DATA_DIR` and in the cache.
        title: what it is, for people.
        terms: the terms of use, printed when it is fetched.
        layouts: the sets of files that it may lie there as, SHA-256 by relative path; the first complete one is read.
        positive_threshold: the rating from which an event counts as liked.
        fetchable: whether it can be downloaded.
    """

    name: str
    title: str
    terms: str
    layouts: tuple[dict[str, str], ...]
    positive_threshold: float = 0.0
    fetchable: bool = False


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
            positive_threshold=4.0,
            fetchable=True,
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
