"""One training run from names to a model's folder: what `foxing train` does, and what trials do many times."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from audit.corpus import Shard
from audit.storage import digest, stat
from curricula.checkpoints import is_whole, latest, without_weights
from curricula.distributed import first_alone, is_first
from curricula.encoding import TEMPLATE, Encoder, encoder_of, save_tokenizer, trained_tokenizer
from curricula.recipe import Recipe
from curricula.training_rows import TrainingRows, open_rows, shards_in_order
from detectors.errors import ConfigError
from detectors.hub import digest_of, located
from detectors.pretrained import quiet_transformers, torch_device, torch_dtype, unpacked
from detectors.protocols import Device

if TYPE_CHECKING:
    import torch

    from curricula.model import Decoder, EncoderDecoder, Pretrained
    from curricula.trainer import Outcome, Setting

__all__ = ["ATTENTIONS", "Job", "Scratch", "base_folder", "learn_tokenizer", "run_job"]

ATTENTIONS = ("auto", "mask")
_TOKENIZER, _SOURCE = "tokenizer", "learnt_from.txt"
_LEARN_FROM = 20_000_000


@dataclass(frozen=True)
class Scratch:
    """A model to be made: its size, and what its tokenizer is.

    Attributes:
        width: of the residual stream.
        layers: of the decoder.
        heads: of attention.
        encoder_layers: more than 0 makes an encoder-decoder, which reads pairs.
        tokenizer: a folder or hub id; empty learns one of `vocabulary` ids from the start of the training data.
        vocabulary: ids of a tokenizer that is learnt; 258 are bytes and two marks.
    """

    width: int = 256
    layers: int = 4
    heads: int = 4
    encoder_layers: int = 0
    tokenizer: str = ""
    vocabulary: int = 4096


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        data: what is trained on: curated folders, files, directories.
        dev: what decides when to stop; empty trains to the end.
        base: folder, GGUF file or hub id of a causal model to fine-tune; None makes one from scratch.
        scratch: the model to be made when there is no base.
        recipe: how.
        text: the text column, None by convention.
        template: of questions with answers.
        shuffle: whether each pass is shuffled; without, the order of the rows is the order of training.
        relabel: share of rows, drawn at random by the seed, whose answer becomes "I don't know": a null arm of a trial.
        lora_rank: of low-rank updates; 0 trains all weights.
        precision: auto, float32 or bfloat16: of multiplications; auto is bfloat16 on a GPU.
        compiles: whether torch.compile is used.
        attention: auto attends by blocks to packed documents on a GPU; mask does not.
    """

    data: tuple[str, ...]
    dev: tuple[str, ...] = ()
    base: str | None = None
    scratch: Scratch = field(default_factory=Scratch)
    recipe: Recipe = field(default_factory=Recipe)
    text: str | None = None
    template: str = TEMPLATE
    shuffle: bool = False
    relabel: float = 0.0
    lora_rank: int = 0
    precision: str = "auto"
    compiles: bool = False
    attention: str = "auto"

    def __post_init__(self) -> None:
        if "{answer}" not in self.template or "{prompt}" not in self.template.partition("{answer}")[0]:
            raise ConfigError(f"template {self.template!r}: lacks {{prompt}} or, after it, {{answer}}. Give both.")
        if self.attention not in ATTENTIONS:
            raise ConfigError(f"--attention {self.attention!r}: is none of {', '.join(ATTENTIONS)}. Name one.")
        if self.lora_rank < 0:
            raise ConfigError(f"--lora: the rank is {self.lora_rank}. Set it to 1 or more.")
        if self.lora_rank and self.base is None:
            raise ConfigError("--lora: low-rank updates need a model to update. Name one with --base.")


def run_job(
    job: Job,
    out: Path,
    *,
    device: Device = Device.AUTO,
    fresh: bool = False,
    on_step: Callable[[float, str], None] = lambda done, text: None,
) -> Outcome:
    """Train, and write OUT/last, OUT/best where there are development rows, OUT/metrics.jsonl and OUT/run.json.

    A run that was killed goes on from its last state; one that is done is left as it is.

    Raises:
        ConfigError: a recipe that cannot be, or a folder that holds another run.
        InputError: no data, or none that can be read.
        SignalError: no such model or device.
        MissingExtraError: torch or transformers are not installed.
    """
    from curricula.trainer import Setting, train

    target = torch_device(device, "--device")
    bfloat16 = str(torch_dtype(job.precision, target, "--precision")) == "torch.bfloat16"
    setting = Setting(target, bfloat16=bfloat16, compiles=job.compiles)
    with first_alone():
        if is_first():
            _sweep(out)
            _clear(out, fresh=fresh)
        out.mkdir(parents=True, exist_ok=True)
        folder = None if job.base is None else base_folder(job.base)
        encoder = _encoder(job, folder, out)
    rows = _rows(job, job.data, encoder, shuffle=job.shuffle)
    rows = replace(rows, relabel=job.relabel, seed=job.recipe.seed)
    dev = _rows(job, job.dev, encoder, shuffle=False) if job.dev else None
    run = _digest(job, folder, rows, dev)
    model = _model(job, folder, encoder, target)

    def keep(best: Path) -> None:
        _export(model, encoder, folder, best)

    outcome = train(model, rows, dev, out, job.recipe, setting, run=run, on_step=on_step, on_best=keep)
    if is_first():
        _finish(job, model, encoder, folder, out, outcome, setting, run)
    return outcome


def _sweep(out: Path) -> None:
    """Remove what a killed run was writing, or had not yet removed when it had written the state after it."""
    for name in (".best-*", ".last-*", ".state-*", ".tokenizer-*", ".run-*", "metrics.[0-9]*"):
        for left in out.glob(name):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    for older in sorted(out.glob("state-*"))[:-1]:
        shutil.rmtree(older)


def _clear(out: Path, *, fresh: bool) -> None:
    """Throw away what an earlier run left, or, unless all of it is to go, what it left before its first state.

    Other files stay.
    """
    if not fresh and (any(out.glob("state-*")) or (out / "run.json").exists()):
        found = latest(out)
        if (out / "run.json").exists():
            without_weights(out)
        if found is None or not ((out / "run.json").exists() or is_whole(found[0])):
            raise ConfigError(
                f"{out}: holds a run that is over, without the state that it could go on from. Name a new folder, or "
                "--fresh."
            )
        return
    if not fresh and not (out / "metrics.jsonl").exists():
        return
    for name in ("best", "last", *([_TOKENIZER] if fresh else [])):
        shutil.rmtree(out / name, ignore_errors=True)
    for state in out.glob("state-*"):
        shutil.rmtree(state, ignore_errors=True)
    for name in ("metrics.jsonl", "run.json"):
        (out / name).unlink(missing_ok=True)


def base_folder(name: str) -> Path:
    """The folder of a model that `--base` names, which a GGUF file is unpacked into."""
    path = located(name, "--base")
    return unpacked(path, "") if path.suffix == ".gguf" else path


def _encoder(job: Job, folder: Path | None, out: Path) -> Encoder:
    """The tokenizer: that of the base, one that is named, or one learnt from the start of the data, once."""
    if folder is not None:
        return encoder_of(folder)
    if job.scratch.tokenizer:
        return encoder_of(located(job.scratch.tokenizer, "--tokenizer"))
    return encoder_of(learn_tokenizer(job, out / _TOKENIZER))


def learn_tokenizer(job: Job, folder: Path) -> Path:
    """Learn a tokenizer from the start of a job's data, unless the folder holds that one; returns the folder."""
    rows = TrainingRows(shards_in_order(job.data), trained_tokenizer([], 0), job.text, template=job.template)
    asked = [[_content(shard) for shard in rows.shards], job.text, job.template, job.scratch.vocabulary, _LEARN_FROM]
    source, key = folder / _SOURCE, hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    if not source.is_file() or source.read_text() != key:
        encoder = trained_tokenizer(rows.texts(_LEARN_FROM), job.scratch.vocabulary)
        temporary = folder.parent / f".{folder.name}-{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_tokenizer(encoder, temporary)
        (temporary / _SOURCE).write_text(key)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    return folder


def _rows(job: Job, paths: Sequence[str], encoder: Encoder, *, shuffle: bool) -> TrainingRows:
    pairs = job.base is None and job.scratch.encoder_layers > 0
    seed = job.recipe.seed if shuffle else None
    return open_rows(paths, encoder, text=job.text, pairs=pairs, template=job.template, shuffle=seed)


def _content(shard: Shard) -> str:
    """Digest of a file, which is read once as long as it does not change: for its tokenizer, its run, and each seed."""
    stamp = stat(shard.uri)
    return shard.digest() if stamp is None else _content_at(shard.uri, stamp)


@lru_cache(maxsize=4096)
def _content_at(uri: str, stamp: tuple[int, int]) -> str:
    return digest(uri)


def _digest(job: Job, folder: Path | None, rows: TrainingRows, dev: TrainingRows | None) -> str:
    """What the weights depend on: settings, data and base."""
    scratch = {**asdict(job.scratch), "tokenizer": ""}  # its content counts, not where it lies
    asked = {**asdict(job), "data": [], "dev": [], "base": "", "scratch": scratch}
    shards = [_content(shard) for each in (rows, dev) if each is not None for shard in each.shards]
    base = "" if folder is None else digest_of(folder)
    whole = json.dumps([asked, shards, base, rows.encoder.tokenizer.to_str()], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _model(
    job: Job, folder: Path | None, encoder: Encoder, target: torch.device
) -> Decoder | EncoderDecoder | Pretrained:
    import torch

    from curricula.attention_masks import with_blocks
    from curricula.model import Decoder, EncoderDecoder, Pretrained, Shape

    torch.manual_seed(job.recipe.seed)
    if folder is not None:
        from curricula.isolation import refuse_mixing
        from detectors.pretrained import from_pretrained

        load = quiet_transformers().AutoModelForCausalLM.from_pretrained
        lm = from_pretrained(load, folder, torch.float32, f"--base {job.base}")
        context = getattr(lm.config.get_text_config(), "max_position_embeddings", None)
        if context and job.recipe.block > context:
            raise ConfigError(
                f"--block {job.recipe.block}: --base {job.base} reads {context} tokens at most. Lower --block."
            )
        model = Pretrained(lm, lora_rank=job.lora_rank)
        refuse_mixing(model, f"--base {job.base}")
        if job.attention == "auto" and target.type == "cuda" and job.recipe.block % 128 == 0:
            with_blocks(model.plain)
        return model
    wanted = job.scratch
    shape = Shape(
        vocabulary=-(-encoder.vocabulary // 64) * 64,
        width=wanted.width,
        layers=wanted.layers,
        heads=wanted.heads,
        kv_heads=wanted.heads,
        hidden=-(-wanted.width * 8 // 3 // 32) * 32,
        context=job.recipe.block,
        encoder_layers=wanted.encoder_layers,
    )
    if shape.encoder_layers:
        return EncoderDecoder(shape)
    decoder = Decoder(shape)
    decoder.by_blocks = job.attention == "auto"
    return decoder


def _export(model: Decoder | EncoderDecoder | Pretrained, encoder: Encoder, folder: Path | None, target: Path) -> None:
    """Write the model as transformers, or foxing, loads it, whole or not at all."""
    import copy

    from curricula.model import Pretrained, save_scratch

    temporary = target.parent / f".{target.name}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    if isinstance(model, Pretrained):
        (copy.deepcopy(model) if hasattr(model.lm, "merge_and_unload") else model).merged().save_pretrained(temporary)
        load = quiet_transformers().AutoTokenizer.from_pretrained
        load(str(folder), trust_remote_code=False, local_files_only=True).save_pretrained(temporary)
    else:
        save_scratch(model, temporary)
        save_tokenizer(encoder, temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)


def _finish(
    job: Job,
    model: Decoder | EncoderDecoder | Pretrained,
    encoder: Encoder,
    folder: Path | None,
    out: Path,
    outcome: Outcome,
    setting: Setting,
    run: str,
) -> None:
    """Export the last weights, say which are the model, record the run, and drop what only a stopped one needs."""
    if (out / "run.json").exists():
        return
    _export(model, encoder, folder, out / "last")
    kept = "last" if outcome.progress.best is None else "best"
    record = {
        "format": "foxing-run",
        "version": 1,
        "run": run,
        "model": kept,
        "job": asdict(job),
        "device": str(setting.device),
        "bfloat16": setting.bfloat16,
        "progress": asdict(outcome.progress),
        "loss": outcome.loss,
        "tokens_of_a_pass": outcome.distinct,
        "parameters": sum(value.numel() for value in model.parameters()),
        "speed": dict(outcome.speed),
    }
    temporary = out / f".run-{os.getpid()}"
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    temporary.replace(out / "run.json")
    without_weights(out)
