"""An index of hidden posts for the counts of tags, which read every post.

Revision: 0010, after 0009
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_posts_hidden",
        "posts",
        ["id"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL OR draft"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_posts_hidden",
        table_name="posts",
        postgresql_where=sa.text("deleted_at IS NOT NULL OR draft"),
    )
