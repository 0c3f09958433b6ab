"""The session beside SQLModel's AsyncSession: each call does the same on both, up to `commit`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, InvalidRequestError, MultipleResultsFound, NoResultFound
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel import bindparam, col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from tests.databases import Backend
from todo_api.database.engines import Database, parse_url
from todo_api.database.session import Session
from todo_api.models import TodoItem
from todo_api.single_model.fields import utc_now

Work = Callable[[Any], Awaitable[Any]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def three_todos(request: pytest.FixtureRequest) -> str:
    """A database with three todos."""
    backend: Backend = request.getfixturevalue(f"{request.param}_backend")
    url = backend.migrated()
    asyncio.run(fill(url))
    return url


def new_todo(task: str, priority: int = 0) -> TodoItem:
    """A todo with all that AsyncSession does not set by itself."""
    now = utc_now()
    return TodoItem(task=task, priority=priority, position=1, owner="alice", change=1, created_at=now, updated_at=now)


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Session]:
    database = Database(parse_url(url))
    try:
        async with Session(database.writer, "alice") as session:
            yield session
    finally:
        await database.dispose()


@asynccontextmanager
async def theirs(url: str) -> AsyncIterator[AsyncSession]:
    database = Database(parse_url(url))
    try:
        async with AsyncSession(database.engine, expire_on_commit=False) as session:
            yield session
    finally:
        await database.dispose()


async def fill(url: str) -> None:
    async with theirs(url) as session:
        session.add_all([new_todo("Buy milk", 1), new_todo("Buy bread", 2), new_todo("Sleep", 2)])
        await session.commit()


def outcomes(url: str, work: Work) -> list[Any]:
    """The outcome of some work on a session of ours and on theirs, on the same three todos: nothing is committed."""

    async def run(opened: Any) -> Any:
        if url.startswith("postgresql"):
            driver = await asyncpg.connect(url.replace("+asyncpg", ""))
            await driver.execute("SELECT setval('todo_items_id_seq', 3)")  # no rollback takes an id back
            await driver.close()
        async with opened(url) as session:
            try:
                return await work(session)
            except Exception as error:  # whatever it is, it is the outcome
                return type(error)

    return [asyncio.run(run(opened)) for opened in (ours, theirs)]


def shown(todos: Any) -> list[tuple[Any, ...]]:
    return [(todo.id, todo.task, todo.priority) for todo in todos]


async def get_one(session: Any) -> Any:
    return shown([await session.get(TodoItem, 2)])


async def get_none(session: Any) -> Any:
    return await session.get(TodoItem, 99)


async def get_it_twice(session: Any) -> Any:
    return await session.get(TodoItem, 2) is await session.get(TodoItem, 2)


async def get_and_select_the_same(session: Any) -> Any:
    todo = await session.get(TodoItem, 2)
    return todo is (await session.exec(select(TodoItem).where(col(TodoItem.id) == 2))).one()


async def select_rows(session: Any) -> Any:
    return shown((await session.exec(select(TodoItem).order_by(col(TodoItem.task)))).all())


async def iterate_rows(session: Any) -> Any:
    return shown(list(await session.exec(select(TodoItem).order_by(col(TodoItem.id)))))


async def select_values(session: Any) -> Any:
    return (await session.exec(select(TodoItem.task).order_by(col(TodoItem.id)))).all()


async def select_tuples(session: Any) -> Any:
    return [tuple(row) for row in await session.exec(select(TodoItem.id, TodoItem.task).order_by(col(TodoItem.id)))]


async def count(session: Any) -> Any:
    return (await session.exec(select(func.count()).select_from(TodoItem))).one()


async def select_with_parameters(session: Any) -> Any:
    statement = select(TodoItem.id).where(col(TodoItem.task) == bindparam("wanted"))
    return (await session.exec(statement, params={"wanted": "Sleep"})).all()


async def take_the_first(session: Any) -> Any:
    return (await session.exec(select(TodoItem.task).order_by(col(TodoItem.id)))).first()


async def take_the_first_of_none(session: Any) -> Any:
    return (await session.exec(select(TodoItem).where(col(TodoItem.id) == 99))).first()


async def take_one_of_none(session: Any) -> Any:
    return (await session.exec(select(TodoItem).where(col(TodoItem.id) == 99))).one()


async def take_one_of_three(session: Any) -> Any:
    return (await session.exec(select(TodoItem.id))).one()


async def take_one_or_none_of_none(session: Any) -> Any:
    return (await session.exec(select(TodoItem.id).where(col(TodoItem.id) == 99))).one_or_none()


async def take_one_or_none_of_three(session: Any) -> Any:
    return (await session.exec(select(TodoItem.id))).one_or_none()


async def add_and_flush(session: Any) -> Any:
    todo = new_todo("Dance")
    session.add(todo)
    await session.flush()
    return todo.id, (await session.get(TodoItem, todo.id)) is todo


async def add_and_select(session: Any) -> Any:
    session.add(new_todo("Dance"))
    return (await session.exec(select(TodoItem.task).order_by(col(TodoItem.id)))).all()


async def add_many(session: Any) -> Any:
    todos = [new_todo("Dance"), new_todo("Sing"), new_todo("Play")]
    session.add_all(todos)
    await session.flush()
    return shown(todos)


async def add_the_same_twice(session: Any) -> Any:
    todo = new_todo("Dance")
    session.add(todo)
    session.add(todo)
    await session.flush()
    session.add(todo)
    return await count(session)


async def add_an_expression(session: Any) -> Any:
    todo = new_todo("Dance")
    todo.priority = select(func.max(TodoItem.priority) + 1).where(col(TodoItem.owner) == "alice").scalar_subquery()  # type: ignore[assignment]  # an expression
    session.add(todo)
    await session.flush()
    return (await session.exec(select(TodoItem.priority).where(col(TodoItem.id) == todo.id))).one()


async def change_and_select(session: Any) -> Any:
    todo = await session.get(TodoItem, 1)
    todo.task = "Buy oat milk"
    return (await session.exec(select(TodoItem.task).where(col(TodoItem.id) == 1))).one()


async def change_one_that_was_selected(session: Any) -> Any:
    for todo in await session.exec(select(TodoItem).where(col(TodoItem.priority) == 2)):
        todo.priority = 7
    return (await session.exec(select(TodoItem.priority).order_by(col(TodoItem.id)))).all()


async def add_and_change(session: Any) -> Any:
    todo = new_todo("Dance")
    session.add(todo)
    await session.flush()
    todo.task = "Sing"
    return (await session.exec(select(TodoItem.task).where(col(TodoItem.id) == todo.id))).one()


async def update_many(session: Any) -> Any:
    changed = await session.exec(update(TodoItem).where(col(TodoItem.priority) == 2).values(task="Rest"))
    return changed.rowcount, (await session.exec(select(TodoItem.task).order_by(col(TodoItem.id)))).all()


async def update_many_beside_one_that_was_got(session: Any) -> Any:
    todo = await session.get(TodoItem, 2)
    await session.exec(update(TodoItem).where(col(TodoItem.priority) == 2).values(task="Rest"))
    return todo.task, todo is await session.get(TodoItem, 2)


async def delete_many(session: Any) -> Any:
    deleted = await session.exec(delete(TodoItem).where(col(TodoItem.priority) == 2))
    return deleted.rowcount, await count(session)


async def delete_one(session: Any) -> Any:
    await session.delete(await session.get(TodoItem, 2))
    await session.flush()
    return await session.get(TodoItem, 2), await count(session)


async def delete_one_and_select(session: Any) -> Any:
    await session.delete(await session.get(TodoItem, 2))
    return (await session.exec(select(TodoItem.id).order_by(col(TodoItem.id)))).all()


async def delete_a_stranger(session: Any) -> Any:
    await session.delete(new_todo("Dance"))


async def roll_back(session: Any) -> Any:
    (await session.get(TodoItem, 1)).task = "Buy oat milk"
    session.add(new_todo("Dance"))
    await session.flush()
    await session.rollback()
    return shown([await session.get(TodoItem, 1)]), await count(session)


async def roll_back_what_was_not_flushed(session: Any) -> Any:
    session.add(new_todo("Dance"))
    await session.rollback()
    return await count(session)


SAME: dict[str, tuple[Work, Any]] = {
    work.__name__: (work, outcome)
    for work, outcome in (
        (get_one, [(2, "Buy bread", 2)]),
        (get_none, None),
        (get_it_twice, True),
        (get_and_select_the_same, True),
        (select_rows, [(2, "Buy bread", 2), (1, "Buy milk", 1), (3, "Sleep", 2)]),
        (iterate_rows, [(1, "Buy milk", 1), (2, "Buy bread", 2), (3, "Sleep", 2)]),
        (select_values, ["Buy milk", "Buy bread", "Sleep"]),
        (select_tuples, [(1, "Buy milk"), (2, "Buy bread"), (3, "Sleep")]),
        (count, 3),
        (select_with_parameters, [3]),
        (take_the_first, "Buy milk"),
        (take_the_first_of_none, None),
        (take_one_of_none, NoResultFound),
        (take_one_of_three, MultipleResultsFound),
        (take_one_or_none_of_none, None),
        (take_one_or_none_of_three, MultipleResultsFound),
        (add_and_flush, (4, True)),
        (add_and_select, ["Buy milk", "Buy bread", "Sleep", "Dance"]),
        (add_many, [(4, "Dance", 0), (5, "Sing", 0), (6, "Play", 0)]),
        (add_the_same_twice, 4),
        (add_an_expression, 3),
        (change_and_select, "Buy oat milk"),
        (change_one_that_was_selected, [1, 7, 7]),
        (add_and_change, "Sing"),
        (update_many, (2, ["Buy milk", "Rest", "Rest"])),
        (update_many_beside_one_that_was_got, ("Rest", True)),
        (delete_many, (2, 1)),
        (delete_one, (None, 2)),
        (delete_one_and_select, [1, 3]),
        (delete_a_stranger, InvalidRequestError),
        (roll_back, ([(1, "Buy milk", 1)], 3)),
        (roll_back_what_was_not_flushed, 3),
    )
}


@pytest.mark.parametrize(("work", "outcome"), SAME.values(), ids=SAME.keys())
def test_a_call_does_what_it_does_in_sqlmodels_own_session(three_todos: str, work: Work, outcome: Any) -> None:
    assert outcomes(three_todos, work) == [outcome, outcome]


def run(backend: Backend, *works: Callable[[Session], Awaitable[Any]], dry_run: bool = False) -> list[Any]:
    """The outcomes of works, each on a session of its own, on one database with three todos."""

    async def work_all() -> list[Any]:
        url = backend.migrated()
        await fill(url)
        database = Database(parse_url(url))
        found = []
        try:
            for work in works:
                async with Session(database.writer, "alice", dry_run=dry_run) as session:
                    found.append(await work(session))
        finally:
            await database.dispose()
        return found

    return asyncio.run(work_all())


async def add_and_commit(session: Session) -> int:
    todo = TodoItem(task="Dance", position=1)
    session.add(todo)
    await session.commit()
    return todo.id


async def add_alone(session: Session) -> None:
    session.add(TodoItem(task="Dance", position=1))
    await session.flush()


def test_what_is_committed_is_kept_and_what_is_not_is_undone(backend: Backend) -> None:
    assert run(backend, add_and_commit, count, add_alone, count) == [4, 4, None, 4]
    assert run(backend, add_and_commit, count, dry_run=True) == [4, 3]


def test_a_statement_after_the_commit_is_refused_in_words_that_say_why(backend: Backend) -> None:
    async def go_on(session: Session) -> None:
        await add_and_commit(session)
        await session.get(TodoItem, 1)

    with pytest.raises(InvalidRequestError, match="comes last in an endpoint"):
        run(backend, go_on)


def test_a_method_that_is_not_offered_says_what_to_write_instead(backend: Backend) -> None:
    async def execute(session: Any) -> None:
        await session.execute(select(TodoItem))

    with pytest.raises(AttributeError, match="no execute: use exec"):
        run(backend, execute)


def test_the_server_sets_the_version_and_the_time_stamps(backend: Backend) -> None:
    async def change(session: Session) -> tuple[Any, ...]:
        todo = await session.get(TodoItem, 1)
        assert todo is not None
        before = todo.updated_at
        todo.complete = True
        await session.flush()
        return todo.version, todo.completed_at is not None, todo.updated_at > before

    async def change_nothing(session: Session) -> int:
        todo = await session.get(TodoItem, 1)
        assert todo is not None
        todo.task = "Buy milk"
        await session.flush()
        return todo.version

    assert run(backend, change, change_nothing) == [(2, True, True), 1]


def test_a_change_of_a_version_that_is_gone_is_refused(backend: Backend) -> None:
    async def change(session: Session) -> None:
        todo = await session.get(TodoItem, 1)
        assert todo is not None
        session._rows.stored(todo)["version"] = 7  # as if another transaction had changed it
        todo.task = "lost"
        await session.flush()

    with pytest.raises(StaleDataError):
        run(backend, change)


def test_a_statement_that_fails_harms_no_later_write(backend: Backend) -> None:
    async def fail(session: Session) -> str:
        try:
            await session.exec(select(func.no_such_function(TodoItem.id)))
        except DBAPIError:
            return "failed"
        return "done"

    assert run(backend, fail, add_and_commit, fail, count) == ["failed", 4, "failed", 4]
