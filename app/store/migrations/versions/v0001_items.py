"""Items that were added, updated or deleted. Stores made before there were steps have the table already."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Make what is not there."""
    op.create_table(
        "item_changes",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("slot", sa.String(100), nullable=False),
        sa.Column("item", sa.String(512), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        if_not_exists=True,
        sqlite_autoincrement=True,
    )
    op.create_index("item_changes_by_item", "item_changes", ["slot", "item"], if_not_exists=True)


def downgrade() -> None:
    """Remove it, with what is in it."""
    op.drop_table("item_changes")
