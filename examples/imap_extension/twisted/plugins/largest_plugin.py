"""The declaration by which the extension is found."""

from largest import extension

__all__ = ["extension"]
