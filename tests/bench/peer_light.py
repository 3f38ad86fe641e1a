"""datasketch, rensa or lexicalrichness over the first documents of a file; run by their own interpreter."""

import json
import sys
import time
import warnings
from importlib.metadata import version

import pyarrow.parquet as pq

PATH, COUNT, MODE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
TEXTS = [text for text in pq.read_table(PATH, columns=["text"])["text"].to_pylist() if text][:COUNT]
SIZE = sum(len(text.encode()) for text in TEXTS)


def timed(tool, stage, work):
    began = time.process_time()
    value = work()
    cost = time.process_time() - began
    line = {
        "tool": tool,
        "version": version(tool),
        "stage": stage,
        "documents": len(TEXTS),
        "bytes": SIZE,
        "cpu_s": cost,
    }
    print(json.dumps(line), flush=True)
    return value


def shingles(text, n=5):
    words = text.lower().split()
    return [" ".join(words[at : at + n]) for at in range(max(1, len(words) - n + 1))]


def datasketch():
    from datasketch import MinHash

    def sign(parts):
        signature = MinHash(num_perm=128)
        signature.update_batch([part.encode() for part in parts])
        return signature

    sign(["warm up"])
    timed("datasketch", "datasketch_text", lambda: [sign(shingles(text)) for text in TEXTS])
    ready = [shingles(text) for text in TEXTS]
    timed("datasketch", "datasketch_shingles", lambda: [sign(parts) for parts in ready])


def rensa():
    from rensa import RMinHash

    def sign(parts):
        signature = RMinHash(num_perm=128, seed=42)
        signature.update(parts)
        return signature

    sign(["warm up"])
    timed("rensa", "rensa_text", lambda: [sign(shingles(text)) for text in TEXTS])
    ready = [shingles(text) for text in TEXTS]
    timed("rensa", "rensa_shingles", lambda: [sign(parts) for parts in ready])


def lexicalrichness():
    warnings.simplefilter("ignore")
    from lexicalrichness import LexicalRichness

    LexicalRichness("warm up " * 60).mtld()
    made = timed("lexicalrichness", "construct", lambda: [LexicalRichness(text) for text in TEXTS])
    long = [one for one in made if one.words > 50]
    timed("lexicalrichness", "mtld", lambda: [one.mtld(threshold=0.72) for one in made if one.words])
    timed("lexicalrichness", "mattr", lambda: [one.mattr(window_size=50) for one in long])
    timed("lexicalrichness", "hdd", lambda: [one.hdd(draws=42) for one in long])
    timed("lexicalrichness", "yule", lambda: [one.yulek for one in made if one.words])


{"datasketch": datasketch, "rensa": rensa, "lexicalrichness": lexicalrichness}[MODE]()
