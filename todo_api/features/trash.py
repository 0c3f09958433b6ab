"""The trash: deleted todos go there, until they are restored or purged."""

from sqlalchemy import ColumnElement
from sqlmodel import delete

from todo_api.database.session import Session
from todo_api.models import DeletedTodo, TodoItem
from todo_api.single_model.fields import utc_now


async def throw_away(which: ColumnElement[bool], session: Session) -> int:
    """Move the todos that match to the trash, or delete them where none is kept; how many they were."""
    if not session.keeps_deleted:
        return (await session.exec(delete(TodoItem).where(which))).rowcount
    return await session.move(TodoItem, DeletedTodo, which, {"deleted_at": utc_now()})
