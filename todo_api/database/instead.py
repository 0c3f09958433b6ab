"""Methods of AsyncSession that the session does not have, and what to write instead."""

from typing import Final

INSTEAD: Final = {
    "begin": "its transaction begins with the first statement",
    "begin_nested": "raise an error, and the route undoes the request",
    "execute": "use exec",
    "merge": "get the row, and set its attributes",
    "refresh": "a flush sets what the database has set; get reads a row",
    "scalar": "use (await session.exec(statement)).one()",
    "scalars": "use exec with a select of one class or column",
    "stream": "use exec with a limit",
}
