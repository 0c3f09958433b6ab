"""Marks in the annotation of a field: who sets it, and when."""


class ServerSet:
    """Marks a field that the server sets: it is in every response and in no request."""


class Created:
    """Marks an instant that the server sets when the row is created."""


class Updated:
    """Marks an instant that the server sets whenever the row is created or changed."""


class Since:
    """Marks an instant that the server sets when `flag` becomes true, and clears when it becomes false again."""

    def __init__(self, flag: str) -> None:
        self.flag = flag


class InsteadOf:
    """Marks a field that excludes another: to set either clears the other, and to set both at once is refused."""

    def __init__(self, other: str) -> None:
        self.other = other


class FoldOf:
    """Marks an internal text that the server sets: the folded text of another member, in which a search looks."""

    def __init__(self, member: str) -> None:
        self.member = member


class Internal:
    """Marks a field that the server alone knows: it is in no response, in no request and in no schema."""
