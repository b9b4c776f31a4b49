"""Losses and rewards as pure functions, with the equation numbers of their papers."""
