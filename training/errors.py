"""Errors of the training half; each message says what was found, what was expected and what to do.

TrainingError (exit code 1)
├── InputError (2)        what the person gave cannot be used
│   ├── DataError         a file, its columns or its values
│   └── ConfigError       an unknown setting or an impossible value
├── MissingExtra (3)      an optional part is not installed
├── AnotherRun (12)       a retraining is at work already
└── Interrupted (130)     Ctrl-C; a usable checkpoint was kept
"""

from __future__ import annotations


class TrainingError(Exception):
    """Base of all errors that a person using the training half can cause or cure."""

    exit_code = 1


class InputError(TrainingError):
    """What the person gave cannot be used."""

    exit_code = 2


class DataError(InputError):
    """A data file, its columns or its values cannot be used."""


class ConfigError(InputError):
    """A setting is unknown or its value impossible."""


class MissingExtra(TrainingError):
    """An optional part is not installed."""

    exit_code = 3


class AnotherRun(TrainingError):
    """A retraining is at work in the same folder already."""

    exit_code = 12


class Interrupted(TrainingError):
    """The person pressed Ctrl-C; a usable checkpoint was kept."""

    exit_code = 130
