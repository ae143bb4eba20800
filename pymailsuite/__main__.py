"""``python -m pymailsuite``: the same as the command ``pymailsuite``."""

from pymailsuite.cli import main

if __name__ == "__main__":
    main()
