"""Parts of a request that an endpoint asks for by a parameter, and that say what they add to the document."""

from dataclasses import dataclass, field
from typing import Any

from fastapi import params

from todo_api.http.problem import Problem


@dataclass(frozen=True)
class Part(params.Depends):
    """A dependency of FastAPI that documents itself."""

    parameters: list[dict[str, Any]] = field(default_factory=list, kw_only=True)
    """Parameters of the operation, as OpenAPI has them."""
    problems: tuple[type[Problem] | Problem, ...] = field(default=(), kw_only=True)
    """Problems that it may end in, or examples of them."""
    headers: tuple[str, ...] = field(default=(), kw_only=True)
    """Headers of the answer."""
    response_model: Any = field(default=None, kw_only=True)
    """The model of an answer that the endpoint renders itself."""
    is_row: bool = field(default=False, kw_only=True)
    """Whether it is the row of the path."""
    is_of_many: bool = field(default=False, kw_only=True)
    """Whether it makes the operation a change of many rows."""
