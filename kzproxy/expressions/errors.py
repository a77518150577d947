"""What can be wrong with an expression: when it is read, and when it is evaluated."""


class ExpressionError(Exception):
    """An expression that is not taken.

    Attributes:
        message: What is wrong, and what would be right.
        line: Counted from 1 within the expression.
        column: Counted from 1, in characters.
    """

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column


class ExpressionFailedError(Exception):
    """An evaluation without a result: something it needs is not known, or cannot be computed."""
