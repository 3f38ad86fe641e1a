"""Scores of text by a language model that was trained for nothing of the kind, higher where it looks machine-written.

    likelihood      mean log p of the tokens (Solaiman et al. 2019, arXiv 1908.09203)
    log-rank        mean of minus log rank (Mitchell et al. 2023, arXiv 2301.11305)
    lrr             sum of -log p over sum of log rank (Su et al. 2023, arXiv 2306.05540)
    fast-detectgpt  (sum of log p - sum of its expectation) / root of the sum of its variance, the analytic
                    conditional curvature (Bao et al. 2024, arXiv 2310.05130)
    binoculars      minus log perplexity / log cross-perplexity, of two models that read the same tokens
                    (Hans et al. 2024, arXiv 2401.12070)

Expectation and variance are those of the model itself, or, with an observer, of the observer's predictions; for
`binoculars` that is how the authors' code has it: the performer's log p, the observer's probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.ai_text.windows import Margins, cut
from detectors.errors import SignalError
from detectors.language_model import LanguageModel, Scores, load_language_model
from detectors.protocols import Device
from detectors.tokens import Batching

__all__ = ["DEFAULT_TOKENS", "METHODS", "ZeroShot", "load_zero_shot", "statistic"]

DEFAULT_TOKENS = 512
_GPU_TOKENS = 16_384
_PROBES = (
    "The 3 stains — brown, on “every” page…\n\n\tdef f(x): return x**2",
    "Ütközés, 紙の染み, пятна, बही",
    " a  b",
)
_LEAST_VARIANCE = 1e-6


def _likelihood(scores: Scores) -> float:
    return float(scores.log_p.mean(dtype=np.float64))


def _log_rank(scores: Scores) -> float:
    return -float(np.log(scores.rank).mean())


def _lrr(scores: Scores) -> float:
    ranks = float(np.log(scores.rank).sum())
    return -float(scores.log_p.sum(dtype=np.float64)) / ranks if ranks > 0 else float("nan")


def _curvature(scores: Scores) -> float:
    variance = float(scores.variance.sum(dtype=np.float64))
    surprise = float(scores.log_p.sum(dtype=np.float64) - scores.mean.sum(dtype=np.float64))
    return surprise / variance**0.5 if variance > _LEAST_VARIANCE else float("nan")


def _binoculars(scores: Scores) -> float:
    crossed = float(scores.mean.sum(dtype=np.float64))
    return -float(scores.log_p.sum(dtype=np.float64)) / crossed if crossed < -_LEAST_VARIANCE else float("nan")


METHODS: Mapping[str, Callable[[Scores], float]] = {
    "likelihood": _likelihood,
    "log-rank": _log_rank,
    "lrr": _lrr,
    "fast-detectgpt": _curvature,
    "binoculars": _binoculars,
}


def statistic(method: str, scores: Scores) -> float:
    """The score of one window, higher is more machine-like; NaN where it is undefined (no token scored, no spread)."""
    return METHODS[method](scores) if len(scores.log_p) else float("nan")


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """A method and its models.

    Attributes:
        method: a key of `METHODS`.
        model: scores the text.
        observer: whose predictions are expected of it; None is the model itself.
        max_tokens: of a window, with its marks.
        batching: how windows go through the models.
    """

    method: str
    model: LanguageModel
    observer: LanguageModel | None
    max_tokens: int
    batching: Batching

    @property
    def precision(self) -> str:
        """That the scoring model computes in."""
        return self.model.precision

    def margins(self, texts: Sequence[str]) -> Margins:
        """Score texts; a window of which no token can be scored has no margin."""
        windows = cut(texts, self.model.tokens, self.max_tokens)
        scores = self.model.score(
            windows.ids,
            self.batching,
            sampler=self.observer,
            ranks=self.method in ("log-rank", "lrr"),
            moments=self.method in ("fast-detectgpt", "binoculars"),
        )
        return windows.margins(np.array([statistic(self.method, found) for found in scores], np.float64))


def load_zero_shot(
    method: str,
    model: str,
    observer: str,
    device: Device,
    *,
    precision: str = "auto",
    max_tokens: int = 0,
    digest: str = "",
) -> ZeroShot:
    """Load a method's models.

    Args:
        method: a key of `METHODS`.
        model: folder, GGUF file or hub id of the model that scores: the performer of `binoculars`.
        observer: of the second model; `binoculars` needs one, `fast-detectgpt` may have one.
        device: where they run.
        precision: of their weights.
        max_tokens: of a window; 0 is 512, or what the models take if that is less.
        digest: of the model's file, if it is known.

    Raises:
        SignalError: an unknown method, a missing, needless or unlike second model, or what `load_language_model` says.
    """
    if method not in METHODS:
        raise SignalError(f"ai_text: no method {method!r}. Set method to classifier, {', '.join(METHODS)}.")
    if method == "binoculars" and not observer:
        raise SignalError("ai_text: binoculars takes two models. Set observer to one with the same tokenizer.")
    if observer and method not in ("binoculars", "fast-detectgpt"):
        raise SignalError(f"ai_text: {method} uses one model. Leave observer = {observer!r} out.")
    scorer = load_language_model(model, device, precision=precision, digest=digest)
    second = load_language_model(observer, device, precision=precision, setting="observer") if observer else None
    if second is not None:
        _check_same_tokens(scorer, second)
    limit = min(scorer.context, second.context if second else scorer.context)
    batching = Batching() if scorer.device.type == "cpu" else Batching(_GPU_TOKENS)
    return ZeroShot(method, scorer, second, min(max_tokens or DEFAULT_TOKENS, limit), batching)


def _check_same_tokens(model: LanguageModel, observer: LanguageModel) -> None:
    """Stop where two models do not read the same tokens: one's expectations would be about other tokens.

    Raises:
        SignalError: saying what differs.
    """
    one, two = model.tokens, observer.tokens
    differs = None
    if model.vocabulary != observer.vocabulary:
        differs = f"{model.vocabulary} and {observer.vocabulary} logits"
    elif one.tokenizer.get_vocab() != two.tokenizer.get_vocab():
        differs = "other vocabularies"
    elif any(one.ids(probe).tolist() != two.ids(probe).tolist() for probe in _PROBES):
        differs = "other tokens of the same text"
    elif one.prefix != two.prefix:
        differs = "other marks before a text"
    if differs:
        raise SignalError(
            f"ai_text: {model.name} and {observer.name} have {differs}. Set observer to one with the same tokenizer."
        )
