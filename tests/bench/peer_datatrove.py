"""datatrove's Gopher filters and MinHash signature over the first documents of a file; run by its own interpreter."""

import contextlib
import io
import json
import sys
import tempfile
import time
from importlib.metadata import version

import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.utils.word_tokenizers import load_word_tokenizer

PATH, COUNT = sys.argv[1], int(sys.argv[2])
TEXTS = [text for text in pq.read_table(PATH, columns=["text"])["text"].to_pylist() if text][:COUNT]
SIZE = sum(len(text.encode()) for text in TEXTS)


def documents():
    return [Document(text=text, id=str(at), metadata={}) for at, text in enumerate(TEXTS)]


def timed(stage, step):
    """Every step sees every document, as foxing does; in a chain, a filter's drops would spare the next step work."""
    made = documents()
    began = time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        for _ in step.run(iter(made), rank=0, world_size=1) or ():
            pass
    cost = time.process_time() - began
    line = {"tool": "datatrove", "version": version("datatrove"), "stage": stage, "documents": len(TEXTS)}
    print(json.dumps({**line, "bytes": SIZE, "cpu_s": cost}), flush=True)


list(load_word_tokenizer("eng").word_tokenize("Warm the tokeniser up."))
timed("repetition", GopherRepetitionFilter())
timed("quality", GopherQualityFilter())
with tempfile.TemporaryDirectory() as folder:
    timed("minhash", MinhashDedupSignature(folder, config=MinhashConfig(num_buckets=14, hashes_per_bucket=8)))
