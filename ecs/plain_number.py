"""Numbers as people write them."""

from typing import Any


def plain_number(number: Any) -> str:
    """Write a number without losing a digit: ``3600``, ``0.5``, ``2147483648``."""
    if isinstance(number, float) and number.is_integer():
        return str(int(number))
    return str(number)
