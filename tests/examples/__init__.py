"""The packages of ``examples/``, installed and run."""
