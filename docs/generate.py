"""Write what is derived from the code and the tests.

The pages ``options.rst``, ``log-events.rst``, ``rfc-index.rst`` and ``acceptance.rst`` are built with the documentation
and are not kept in the repository; the sample configuration is kept, and a test fails when it is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_REPOSITORY))

from pymailsuite.config.reference import options_rst, sample_toml  # noqa: E402
from tests import log_report, rfc_report  # noqa: E402
from tests.acceptance_report import report  # noqa: E402


def main() -> None:
    """Write them all."""
    (_REPOSITORY / "etc/pymailsuite.toml").write_text(sample_toml(), encoding="utf-8")
    (_REPOSITORY / "docs/options.rst").write_text(options_rst(), encoding="utf-8")
    (_REPOSITORY / "docs/log-events.rst").write_text(log_report.report(), encoding="utf-8")
    (_REPOSITORY / "docs/rfc-index.rst").write_text(rfc_report.report(), encoding="utf-8")
    (_REPOSITORY / "docs/acceptance.rst").write_text(report(), encoding="utf-8")


if __name__ == "__main__":
    main()
