"""API keys."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "api_keys",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("roles", sa.String(100), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Remove it, with what is in it."""
    op.drop_table("api_keys")
