"""The declaration by which the extension is found."""

from newest import extension

__all__ = ["extension"]
