"""The offline half of irgan: data, rankers, evaluation and export.

Imports `app.bundle`, the contract between the halves, and nothing else of `app`.
"""
