"""decontaminate (decon) over folders of JSONL: TRAINING EVALS REPORTS; run by its own interpreter."""

import gzip
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import decon

TRAINING, EVALS, REPORTS = sys.argv[1:4]


def lines(folder):
    for path in sorted(Path(folder).rglob("*.jsonl*")):
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        yield from (json.loads(line) for line in text.split("\n") if line.strip())


config = decon.Config(training_dir=TRAINING, evals_dir=EVALS, report_output_dir=REPORTS, worker_threads=1)
stdout = os.dup(1)
os.dup2(2, 1)  # it prints
began = time.process_time()
decon.detect(config)
cost = time.process_time() - began
found = list(lines(REPORTS))
told = {"version": version("decontaminate"), "cpu_s": cost, "found": found}
with os.fdopen(stdout, "w") as stream:
    stream.write(json.dumps(told) + "\n")
