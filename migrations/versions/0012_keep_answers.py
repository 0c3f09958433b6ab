"""Keep the answers to requests with an `Idempotency-Key`. The way down loses them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    big_integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "kept_answers",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("id", big_integer, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("is_compressed", sa.Boolean(), nullable=False),
        sa.Column("expires_at", big_integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_kept_answers"),
        sa.UniqueConstraint("owner", "key", name="uq_kept_answers_owner_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_kept_answers_expires_at", "kept_answers", ["expires_at"])


def downgrade() -> None:
    op.drop_index("ix_kept_answers_expires_at", "kept_answers")
    op.drop_table("kept_answers")
