"""Releases, experiments and what they need: allocations, assignments, impressions, events."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "releases",
        sa.Column("name", sa.String(201), primary_key=True),
        sa.Column("ranker", sa.String(100), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("first_live", sa.BigInteger(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
    )
    op.create_table(
        "experiments",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
    )
    op.create_table(
        "experiment_changes",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("experiment", sa.String(100), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "allocations",
        sa.Column("experiment", sa.String(100), primary_key=True),
        sa.Column("revision", sa.Integer(), primary_key=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
    )
    op.create_table(
        "assignments",
        sa.Column("experiment", sa.String(100), primary_key=True),
        sa.Column("unit", sa.String(512), primary_key=True),
        sa.Column("variant", sa.String(100), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "impressions",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("request_id", sa.String(64), nullable=False, unique=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("surface", sa.String(20), nullable=False),
        sa.Column("user", sa.String(512), nullable=True),
        sa.Column("session", sa.String(512), nullable=True),
        sa.Column("experiment", sa.String(100), nullable=True),
        sa.Column("unit", sa.String(512), nullable=True),
        sa.Column("variant", sa.String(100), nullable=True),
        sa.Column("propensity", sa.Float(), nullable=True),
        sa.Column("is_override", sa.Boolean(), nullable=False),
        sa.Column("release", sa.String(201), nullable=False),
        sa.Column("fallback", sa.String(20), nullable=True),
        sa.Column("milliseconds", sa.Float(), nullable=False),
        sa.Column("items", sa.Text(), nullable=False),
        sa.Column("teams", sa.Text(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("impressions_by_experiment", "impressions", ["experiment", "time"])
    op.create_table(
        "events",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(128), nullable=False, unique=True),
        sa.Column("type", sa.String(50), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("user", sa.String(512), nullable=True),
        sa.Column("session", sa.String(512), nullable=True),
        sa.Column("item", sa.String(512), nullable=True),
        sa.Column("request_id", sa.String(64), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("properties", sa.Text(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_time", "events", ["time"])


def downgrade() -> None:
    """Remove them, with what is in them."""
    for table in ("events", "impressions", "assignments", "allocations", "experiment_changes", "experiments", "releases"):
        op.drop_table(table)
