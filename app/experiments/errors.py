"""Errors of experiments.

ExperimentError (a `ServiceError`; exit code 2)
├── DefinitionInvalid     what is to define an experiment cannot be read, or is not valid
├── UnknownExperiment     there is none by that name
├── WrongState            what was asked cannot be done in the experiment's state
├── LayerFull             the layer's other experiments leave too little room
├── SurfaceTaken          a running experiment on the surface, or in the layer, excludes this one
├── ReleaseUnsuitable     a variant's release is not published, or does not answer the surface's questions
└── ChangeInvalid         a change that the experiment's definition does not allow

`app.store.NameTaken` stands beside them.
"""

from __future__ import annotations

from app.errors import ServiceError


class ExperimentError(ServiceError):
    """An experiment cannot do what was asked; it is as it was."""

    exit_code = 2


class DefinitionInvalid(ExperimentError):
    """What is to define an experiment cannot be read, or is not valid."""


class UnknownExperiment(ExperimentError):
    """There is no experiment by that name."""


class WrongState(ExperimentError):
    """What was asked cannot be done in the experiment's state."""


class LayerFull(ExperimentError):
    """The layer's other experiments leave too little room."""


class SurfaceTaken(ExperimentError):
    """A running experiment on the surface, or in the layer, excludes this one."""


class ReleaseUnsuitable(ExperimentError):
    """A variant's release is not published, or does not answer the surface's questions."""


class ChangeInvalid(ExperimentError):
    """A change that the experiment's definition does not allow.

    Args:
        message: the sentence for people.
        problems: where it is wrong, and how: pairs of a location such as `body.weights` and a message.
    """

    def __init__(self, message: str, problems: list[tuple[str, str]] | None = None) -> None:
        super().__init__(message)
        self.problems = problems or []
