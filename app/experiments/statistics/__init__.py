"""Estimates, intervals and tests for experiments; needs the extra `experiments`."""
