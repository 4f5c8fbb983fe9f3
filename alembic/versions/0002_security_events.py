"""Security log: where sign-ins come from, and what each person is told.

Revision: 0002, after 0001
"""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "security_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("detail", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("address", sqlmodel.sql.sqltypes.AutoString(length=45), nullable=False),
        sa.Column("user_agent", sqlmodel.sql.sqltypes.AutoString(length=300), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_security_events_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_events")),
    )
    op.create_index(
        op.f("ix_security_events_created_at"), "security_events", ["created_at"], unique=False
    )
    op.create_index(
        "ix_security_events_user_id_id", "security_events", ["user_id", "id"], unique=False
    )
    op.add_column(
        "browser_sessions",
        sa.Column(
            "amr", sqlmodel.sql.sqltypes.AutoString(length=60), server_default="pwd", nullable=False
        ),
    )
    op.add_column(
        "browser_sessions",
        sa.Column(
            "address",
            sqlmodel.sql.sqltypes.AutoString(length=45),
            server_default="",
            nullable=False,
        ),
    )
    op.add_column(
        "browser_sessions",
        sa.Column(
            "user_agent",
            sqlmodel.sql.sqltypes.AutoString(length=300),
            server_default="",
            nullable=False,
        ),
    )
    op.add_column(
        "token_families",
        sa.Column(
            "address",
            sqlmodel.sql.sqltypes.AutoString(length=45),
            server_default="",
            nullable=False,
        ),
    )
    op.add_column(
        "token_families",
        sa.Column(
            "user_agent",
            sqlmodel.sql.sqltypes.AutoString(length=300),
            server_default="",
            nullable=False,
        ),
    )


def downgrade() -> None:
    op.drop_column("token_families", "user_agent")
    op.drop_column("token_families", "address")
    op.drop_column("browser_sessions", "user_agent")
    op.drop_column("browser_sessions", "address")
    op.drop_column("browser_sessions", "amr")
    op.drop_index("ix_security_events_user_id_id", table_name="security_events")
    op.drop_index(op.f("ix_security_events_created_at"), table_name="security_events")
    op.drop_table("security_events")
