"""oauth clients: origins, logos, registration by themselves, keys of tokens

Revision: 0004, after 0003
"""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ORIGINS_OF_APPS_IN_BROWSERS = """
UPDATE oauth_clients SET allowed_origins = ARRAY(
    SELECT DISTINCT regexp_replace(
        lower(substring(uri FROM '^https?://[^/?#]+')), '^(https.*)[:]443$|^(http:.*)[:]80$', '\\1\\2'
    ) FROM unnest(redirect_uris) AS uri
) WHERE type = 'spa'
"""


def upgrade() -> None:
    op.create_table(
        "dpop_proofs",
        sa.Column("proof_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("proof_hash", name=op.f("pk_dpop_proofs")),
        prefixes=["UNLOGGED"],
    )
    op.create_index(op.f("ix_dpop_proofs_expires_at"), "dpop_proofs", ["expires_at"], unique=False)
    op.add_column(
        "oauth_clients",
        sa.Column("logo_url", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=True),
    )
    op.add_column(
        "oauth_clients",
        sa.Column(
            "allowed_origins",
            postgresql.ARRAY(sa.String(length=300)),
            server_default="{}",
            nullable=False,
        ),
    )
    op.add_column(
        "oauth_clients",
        sa.Column("registration_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
    )
    op.execute(ORIGINS_OF_APPS_IN_BROWSERS)
    op.add_column(
        "oauth_codes",
        sa.Column("dpop_jkt", sqlmodel.sql.sqltypes.AutoString(length=43), nullable=True),
    )
    op.add_column(
        "token_families",
        sa.Column("dpop_jkt", sqlmodel.sql.sqltypes.AutoString(length=43), nullable=True),
    )


def downgrade() -> None:
    op.drop_column("token_families", "dpop_jkt")
    op.drop_column("oauth_codes", "dpop_jkt")
    op.drop_column("oauth_clients", "registration_hash")
    op.drop_column("oauth_clients", "allowed_origins")
    op.drop_column("oauth_clients", "logo_url")
    op.drop_index(op.f("ix_dpop_proofs_expires_at"), table_name="dpop_proofs")
    op.drop_table("dpop_proofs")
