"""How the tables came about, one step a file in `versions`; see `app.store.database`."""

HEAD = "0003"
"""The last step."""
