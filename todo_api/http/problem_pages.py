"""The pages that the types of problems lead to."""

from inspect import getdoc

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from todo_api.http.problem import Problem
from todo_api.http.problems import NotFound

router = APIRouter(include_in_schema=False)


@router.get("/problems/{name}")
async def explain(name: str) -> PlainTextResponse:
    """The page of a type of problem."""
    for problem in Problem.__subclasses__():
        if problem.type == f"/problems/{name}":
            return PlainTextResponse(f"{problem.status} {problem.title}\n\n{getdoc(problem)}\n")
    raise NotFound("There is no such type of problem.")
