"""Counters: each group of writes gets the next number of its owner, and every row that it changes keeps that number."""

from typing import Annotated, Final

from sqlmodel import Field

from todo_api.database.owners import Owned
from todo_api.single_model.columns import BIG_INTEGER
from todo_api.single_model.marks import Internal, ServerSet
from todo_api.single_model.table import Table

COUNT: Final = (
    "INSERT INTO owners (owner, change) SELECT {owner}, 1 FROM alembic_version WHERE version_num = {revision}"
    " ON CONFLICT (owner) DO UPDATE SET change = owners.change + 1 RETURNING change"
)
"""Takes the next number of an owner, unless the schema is of another migration.

The row of the owner stays locked until the end of the transaction.
"""


class Owner(Table, table=True):
    """An owner, and the number of its last change."""

    __tablename__ = "owners"

    owner: Annotated[str, ServerSet] = Field(primary_key=True, max_length=64)
    """The name of the owner."""
    change: Annotated[int, ServerSet] = Field(default=0, sa_type=BIG_INTEGER)
    """The number of the owner's last change."""


class Counted(Owned):
    """The base of every table class whose changes are numbered."""

    change: Annotated[int, Internal] = Field(
        default=None, sa_type=BIG_INTEGER, sa_column_kwargs={"server_default": "0"}
    )
    """The number of the change that wrote the row last; set by the session."""
