"""An index for the counts of topics, which read every post.

Revision: 0009, after 0008
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_posts_topic_id_kind_shown",
        "posts",
        ["topic_id", "kind"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL AND NOT draft AND topic_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_posts_topic_id_kind_shown",
        table_name="posts",
        postgresql_where=sa.text("deleted_at IS NULL AND NOT draft AND topic_id IS NOT NULL"),
    )
