"""A to-do list over HTTP.

Open an operation below, fill it in and press **Execute**, or use any HTTP client:

    curl -H 'Content-Type: application/json' -d '{"task": "Buy milk"}' http://127.0.0.1:8000/todos

- PUT and PATCH change the members that are sent and **keep the others**.
- A list comes in pages; the header `Link` leads to the next one. It can be filtered, searched and sorted.
- `ETag` names the version of a todo. With `If-Match`, a change is made to that version or not at all (412).
- An unknown member or query parameter is refused, never ignored. `dry_run=true` tries a change and undoes it.
- Every error is a problem document (RFC 9457) that says which member or parameter is wrong, and why.
"""

__version__ = "0.1.0"
