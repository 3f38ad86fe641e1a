"""is-it-slop over the first documents of a file; run by its own interpreter."""

import json
import sys
import time
from importlib.metadata import version

import pyarrow.parquet as pq
from is_it_slop import predict_batch

PATH, COUNT = sys.argv[1], int(sys.argv[2])
TEXTS = [text for text in pq.read_table(PATH, columns=["text"])["text"].to_pylist() if text][:COUNT]
SIZE = sum(len(text.encode()) for text in TEXTS)

predict_batch(["Warm the model up. " * 20])
began = time.process_time()
predict_batch(TEXTS)
cost = time.process_time() - began
line = {"tool": "is-it-slop", "version": version("is-it-slop"), "stage": "predict", "documents": len(TEXTS)}
print(json.dumps({**line, "bytes": SIZE, "cpu_s": cost}), flush=True)
