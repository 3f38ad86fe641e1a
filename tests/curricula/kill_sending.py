"""Curates in forked children: python -m tests.curricula.kill_sending AUDIT OUT WORK PID, one a line that it reads.

The id of the child stands in the file PID before it begins; how it ended is printed. Whoever answers its requests may
kill it. The parent has no client of a store and no thread, so it can be forked.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import audit.assess
import audit.calibrate
from audit.findings_folder import Findings
from curricula.curate import curate
from tests.curricula.fake_findings import RULES, Tables
from tests.curricula.test_curate import wide


def main(audit_folder: Path, out: str, work: Path, pid_file: Path) -> None:
    """Do it."""
    import s3fs  # noqa: F401 - once, and not in every child

    audit.calibrate.reference = audit.assess.reference = Tables  # type: ignore[assignment,attr-defined]
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            pid_file.write_text(str(os.getpid()))
            curate(Findings.open(audit_folder), RULES, out, wide(drop=("FX101",)), work=work)
            os._exit(0)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
