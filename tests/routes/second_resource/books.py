"""Books: something to read."""

from fastapi import APIRouter, Response

from tests.routes.second_resource.book import Book
from todo_api.http.current import Current
from todo_api.http.routing import Route, SessionDep
from todo_api.queries.listing import Listing
from todo_api.single_model.bodies import Changes, New

router = APIRouter(prefix="/books", tags=["books"], route_class=Route)


@router.get("")
async def list_books(books: Listing[Book], session: SessionDep) -> Response:
    """List books"""
    return await books.respond(session)


@router.post("", status_code=201)
async def create_book(book: New[Book], session: SessionDep) -> Book:
    """Create a book"""
    session.add(book)
    await session.commit()
    return book


@router.get("/{book_id}")
async def get_book(book: Current[Book]) -> Book:
    """Get a book"""
    return book


@router.put("/{book_id}")
async def update_book(book: Current[Book], changes: Changes[Book], session: SessionDep) -> Book:
    """Update a book"""
    changes.apply(book)
    await session.commit()
    return book


@router.patch("/{book_id}")
async def patch_book(book: Current[Book], changes: Changes[Book], session: SessionDep) -> Book:
    """Patch a book"""
    changes.apply(book)
    await session.commit()
    return book


@router.delete("/{book_id}", status_code=204)
async def delete_book(book: Current[Book], session: SessionDep) -> None:
    """Delete a book"""
    await session.delete(book)
    await session.commit()
