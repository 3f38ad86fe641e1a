"""A machine-text detector over every row of a file; run by its own interpreter with PATH and the detector's name."""

import json
import sys
import time
from importlib.metadata import version

import pyarrow.parquet as pq

PATH, NAME = sys.argv[1], sys.argv[2]
TEXTS = pq.read_table(PATH, columns=["text"])["text"].to_pylist()


def is_it_slop():
    from is_it_slop import CLASSIFICATION_THRESHOLD, predict_batch

    return lambda texts: [one.ai_probability for one in predict_batch(texts)], float(CLASSIFICATION_THRESHOLD)


def ai_text_audit():
    from ai_text_audit import Auditor

    auditor = Auditor()
    return lambda texts: [auditor.analyze(text).score for text in texts], 60.0  # "likely_ai"


def k_uncanny():
    from uncanny import ensemble
    from uncanny.analyzers.burstiness import BurstinessAnalyzer
    from uncanny.analyzers.compression import CompressionAnalyzer

    analyzers = [CompressionAnalyzer(), BurstinessAnalyzer()]  # what its command uses by default

    def scores(texts):
        return [ensemble.combine([one.analyze(text) for one in analyzers]).score for text in texts]

    return scores, 0.65  # "likely_ai"


def lmscan():
    from lmscan.detector import detect

    return lambda texts: [detect(text).ai_probability for text in texts], 0.65  # "Likely AI"


def aifingerprint():
    from aifingerprint import analyze

    return lambda texts: [analyze(text)[0] for text in texts], None  # it names no threshold


detector, threshold = {
    "is-it-slop": is_it_slop,
    "ai-text-audit": ai_text_audit,
    "k-uncanny": k_uncanny,
    "lmscan": lmscan,
    "aifingerprint": aifingerprint,
}[NAME]()
detector(["Warm the model up, with a sentence or two. They say nothing at all. " * 10])
began = time.process_time()
scores = detector(TEXTS)
cost = time.process_time() - began
line = {"tool": NAME, "version": version(NAME), "threshold": threshold, "cpu_s": cost, "scores": scores}
print(json.dumps(line), flush=True)
