"""Errors of the online half; each message says what was found, what was expected and what to do.

    ServiceError (exit code 1)
    ├── QueryError                what a caller asked cannot be answered
    │   ├── QueryInvalid          a parameter breaks its type or its range
    │   │   └── FilterInvalid     a filter or a facet names an unknown field, or a filter a value of the wrong type
    │   ├── MalformedJson         the body is not JSON
    │   ├── MediaTypeUnsupported  the body is not declared as JSON
    │   ├── BodyTooLarge          the body is longer than this service reads
    │   ├── KeyMissing            no API key that counts came with the request
    │   ├── RoleMissing           the API key may not do this
    │   └── TooManyRequests       more than the service's limit for one caller
    ├── WrongRanker               what is live answers other questions
    ├── UnknownKey                there is no such API key
    ├── StoreUnusable             see `app.store.errors`
    ├── NoRelease                 nothing is published yet, or nothing that can be loaded
    ├── ReleaseError              see `app.releases.errors`
    ├── ExtraMissing              an optional package is not installed
    ├── SettingsInvalid (2)       an option or an IRGAN_… variable cannot be used
    └── AddressInUse (4)          another process listens where the service should

Beside it stand `app.bundle.BundleError` and `app.bundle.UnknownId`. HTTP status codes are in `app.api.problems`, and only there.
This module imports nothing, so that the command line can.
"""

from __future__ import annotations


class ServiceError(Exception):
    """Base of everything that a person or a program using the service can cause or cure."""

    exit_code = 1


class QueryError(ServiceError):
    """What a caller asked cannot be answered."""


class QueryInvalid(QueryError):
    """A parameter breaks its type or its range.

    Args:
        message: the sentence for people.
        problems: where it is wrong, and how: pairs of a location such as `body.history.0.item` and a message.
    """

    def __init__(self, message: str, problems: list[tuple[str, str]] | None = None) -> None:
        super().__init__(message)
        self.problems = problems or []


class FilterInvalid(QueryInvalid):
    """A filter or a facet names an unknown field, or a filter carries a value of the wrong type."""


class MalformedJson(QueryError):
    """The body is not JSON."""


class MediaTypeUnsupported(QueryError):
    """The body is not declared as JSON."""


class BodyTooLarge(QueryError):
    """The body is longer than this service reads."""


class KeyMissing(QueryError):
    """No API key that counts came with the request."""


class RoleMissing(QueryError):
    """The API key may not do this."""


class TooManyRequests(QueryError):
    """More requests than the service's limit for one caller."""


class UnknownKey(ServiceError):
    """There is no such API key."""


class NoRelease(ServiceError):
    """Nothing is published yet, or nothing that can be loaded."""


class WrongRanker(ServiceError):
    """What is live answers other questions than the one that was asked."""


class ExtraMissing(ServiceError):
    """An optional package is not installed; the message says which one, and how to install it."""


class SettingsInvalid(ServiceError):
    """An option or an environment variable cannot be used."""

    exit_code = 2


class AddressInUse(ServiceError):
    """Another process listens on the address already."""

    exit_code = 4
