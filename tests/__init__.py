"""The tests of pymailsuite; the tree mirrors the package's."""
