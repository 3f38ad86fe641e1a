"""Training where it is easy to be wrong: other attention, short runs, ends of passes, averages, earlier runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from detectors.errors import ConfigError, InputError
from tests.detectors.tiny_models import need_torch, write_causal, write_tokenizer

need_torch()

import torch  # noqa: E402

from curricula.checkpoints import latest  # noqa: E402
from curricula.cli import foxing  # noqa: E402
from curricula.encoding import Encoded, Piece, encoder_of, trained_tokenizer  # noqa: E402
from curricula.evaluation import evaluate_items, read_items, trainable  # noqa: E402
from curricula.generate import generate  # noqa: E402
from curricula.isolation import refuse_mixing  # noqa: E402
from curricula.model import Decoder, Pretrained, Shape, load_scratch  # noqa: E402
from curricula.packing import Packed, Place, Row, cut, pack, stacked  # noqa: E402
from curricula.recipe import Recipe  # noqa: E402
from curricula.training import Job, Scratch, run_job  # noqa: E402
from curricula.training_rows import open_rows, shards_in_order  # noqa: E402
from curricula.writing import Sampling, next_tokens, open_writer  # noqa: E402
from detectors.protocols import Device  # noqa: E402
from tests.curricula.training_data import write_questions, write_texts  # noqa: E402

CPU = torch.device("cpu")
SMALL = Scratch(width=16, layers=1, heads=2, vocabulary=300)
QUICK = Recipe(block=32, batch=4, micro=4, tokens=2000, rate=3e-3)
SIZE = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {"num_key_value_heads": 2, "intermediate_size": 64}


def rows_of(lengths: list[int], *, learnt_from: int = 0) -> list[Row]:
    edges = np.cumsum([0, *lengths])
    return [
        Row(at, Encoded(np.arange(edges[at], edges[at + 1]), np.arange(length) >= learnt_from))
        for at, length in enumerate(lengths)
    ]


def packed(rows: list[Row], size: int, *, splits: bool, epochs: int = 1) -> list[Packed]:
    def read(epoch: int, first: int) -> Iterator[Row]:
        return iter(rows[first:])

    return list(pack(read, size, splits=splits, pad=0, epochs=epochs))


def pretrained(name: str) -> Pretrained:
    import transformers

    grouped = {**SIZE, **GROUPED}
    configs = {
        "eager llama": lambda: transformers.LlamaConfig(**grouped, attn_implementation="eager"),
        "eager gemma": lambda: transformers.Gemma2Config(**grouped, head_dim=8, sliding_window=8),
        "sliding mistral": lambda: transformers.MistralConfig(**grouped, sliding_window=8),
        "sliding and whole gemma": lambda: transformers.Gemma3TextConfig(**grouped, head_dim=8, sliding_window=8),
        "mamba": lambda: transformers.MambaConfig(vocab_size=60, hidden_size=32, num_hidden_layers=1, state_size=4),
    }
    torch.manual_seed(0)
    lm = transformers.AutoModelForCausalLM.from_config(configs[name]()).eval()
    for value in lm.parameters():
        if value.dim() > 1:
            torch.nn.init.normal_(value, std=0.3)
    return Pretrained(lm)


@pytest.mark.parametrize("name", ["eager llama", "eager gemma", "sliding mistral", "sliding and whole gemma"])
def test_whatever_a_models_attention_a_packed_document_is_read_as_it_is_alone(name: str) -> None:
    model = pretrained(name)
    lengths = [9, 14, 6]
    with torch.inference_mode():
        together = model.head(model.hidden(stacked(packed(rows_of(lengths), 32, splits=False), CPU)))[0]
        for row, start in zip(rows_of(lengths), (0, 9, 23), strict=True):
            assert row.encoded is not None
            alone = model.head(
                model.hidden(stacked(packed([Row(0, row.encoded)], lengths[row.number], splits=False), CPU))
            )
            assert torch.allclose(together[start : start + lengths[row.number]], alone[0], atol=1e-3)
    refuse_mixing(model, name)


def test_a_model_that_cannot_keep_documents_apart_is_refused() -> None:
    with pytest.raises(ConfigError, match="packed documents"):
        refuse_mixing(pretrained("mamba"), "mamba")
    leaky = pretrained("eager llama")
    leaky.lm.config._attn_implementation = "sdpa"  # booleans for attention that adds them
    for layer in leaky.lm.model.layers:
        layer.self_attn.config = replace_attention(layer.self_attn.config)
    with pytest.raises(ConfigError, match="see each other"):
        refuse_mixing(leaky, "leaky")


def replace_attention(config: object) -> object:
    import copy

    found = copy.deepcopy(config)
    found._attn_implementation = "eager"  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("remote", [False, True])
def test_of_a_curated_folder_its_data_are_read_in_order_and_no_dropped_rows(tmp_path: Path, *, remote: bool) -> None:
    here = tmp_path / "curated"
    for name in ("data/b", "data/a", "dropped/a"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        write_texts(here / f"{name}.parquet", 3)
    with pytest.raises(InputError, match="did not end there"):
        shards_in_order([str(here)])
    (here / "manifest.json").write_text('{"data": [{"path": "data/b.parquet"}, {"path": "data/a.parquet"}]}')
    folder = str(here)
    if remote:
        fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'foxing[remote]'")
        folder = f"memory://{tmp_path.name}/curated"
        fsspec.filesystem("memory").put(str(here), f"/{tmp_path.name}/curated", recursive=True)
    for path in (folder, f"{folder}/", f"{folder}/manifest.json"):
        assert [shard.uri.rsplit("/", 2)[1:] for shard in shards_in_order([path])] == [
            ["data", "b.parquet"],
            ["data", "a.parquet"],
        ]


@pytest.mark.parametrize("path", ["../secret.parquet", "/etc/passwd", "data/../../secret.parquet"])
def test_a_manifest_that_names_files_outside_its_folder_is_refused(tmp_path: Path, path: str) -> None:
    here = tmp_path / "curated"
    here.mkdir()
    write_texts(tmp_path / "secret.parquet", 3)
    (here / "manifest.json").write_text(json.dumps({"data": [{"path": path}]}))
    with pytest.raises(InputError, match="outside its folder"):
        shards_in_order([str(here)])


def test_a_pass_that_fills_its_last_block_ends_with_it_though_rows_without_text_follow() -> None:
    rows = [*rows_of([5, 3, 4, 4]), Row(4, None)]
    blocks = packed(rows, 8, splits=True, epochs=2)
    assert [block.after for block in blocks] == [Place(0, 2), Place(1), Place(1, 2), Place(2)]


def test_a_row_of_which_nothing_learnt_fits_into_a_block_is_left_out() -> None:
    rows = [*rows_of([20], learnt_from=15), Row(1, rows_of([6])[0].encoded)]
    assert [block.ids[block.document >= 0].tolist() for block in packed(rows, 8, splits=False)] == [list(range(6))]
    with pytest.raises(ConfigError, match="anything to learn"):
        packed(rows[:1], 8, splits=False)


def test_documents_that_a_budget_cuts_off_are_not_counted() -> None:
    block = packed(rows_of([4, 4, 4]), 12, splits=False)[0]
    assert (block.documents, cut(block, 6).documents) == (3, 1)


def test_a_run_of_one_update_changes_the_weights(tmp_path: Path) -> None:
    base, data = write_causal(tmp_path / "base"), write_texts(tmp_path / "t.parquet", 4)
    outcome = run_job(Job((str(data),), base=str(base), recipe=Recipe(block=64, rate=1e-2)), tmp_path / "out")
    assert outcome.progress.step == 1
    before, after = ((folder / "model.safetensors").read_bytes() for folder in (base, tmp_path / "out" / "last"))
    assert before != after


@pytest.mark.parametrize("stopped", [False, True])
def test_tokens_of_a_pass_are_those_of_one_pass_even_after_a_stop(tmp_path: Path, *, stopped: bool) -> None:
    data = write_texts(tmp_path / "t.parquet", 12)
    job = Job((str(data),), scratch=SMALL, recipe=replace(QUICK, batch=64, tokens=40_000, keep_every=1))

    def stop(done: float, text: str) -> None:
        if stopped and done > 0.5:
            raise KeyboardInterrupt

    if stopped:
        with pytest.raises(KeyboardInterrupt):
            run_job(job, tmp_path / "out", on_step=stop)
    outcome = run_job(job, tmp_path / "out")
    rows = open_rows([str(data)], encoder_of(tmp_path / "out" / "last"))
    assert outcome.distinct == sum(len(row.encoded.ids) for row in rows.read(0, 0) if row.encoded is not None)
    assert outcome.progress.tokens == 40_000
    assert json.loads((tmp_path / "out" / "run.json").read_text())["tokens_of_a_pass"] == outcome.distinct


def test_a_run_of_one_pass_leaves_states_on_its_way(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 120)
    job = Job((str(data),), scratch=SMALL, recipe=replace(QUICK, tokens=0))

    def stop(done: float, text: str) -> None:
        if done > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, tmp_path / "out", on_step=stop)
    found = latest(tmp_path / "out")
    assert found is not None and found[1].step > 0 and not found[1].is_done
    assert run_job(job, tmp_path / "out").progress.is_done


def test_an_average_of_weights_is_what_is_written_at_the_end(tmp_path: Path) -> None:
    data = str(write_texts(tmp_path / "t.parquet", 60))
    slow = Job((data,), scratch=SMALL, recipe=replace(QUICK, ema=0.9999))
    run_job(slow, tmp_path / "slow")
    run_job(replace(slow, recipe=QUICK), tmp_path / "plain")
    shape = load_scratch(tmp_path / "slow" / "last").shape
    torch.manual_seed(QUICK.seed)
    start = Decoder(shape).state_dict()
    moved = {
        name: max(
            float((value - start[key]).abs().max())
            for key, value in load_scratch(tmp_path / name / "last").state_dict().items()
        )
        for name in ("slow", "plain")
    }
    assert moved["slow"] < moved["plain"] / 10


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 60)
    wild = replace(QUICK, rate=1e30, clip=0.0, warmup=0.0, weight_decay=0.0)
    with pytest.raises(ConfigError, match="Lower --rate"):
        run_job(Job((str(data),), scratch=SMALL, recipe=wild), tmp_path / "out")
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_tokenizer_that_a_refused_run_left_is_learnt_again_for_another_size(tmp_path: Path) -> None:
    data = str(write_texts(tmp_path / "t.parquet", 60))
    with pytest.raises(ConfigError, match="width 33"):
        run_job(Job((data,), scratch=replace(SMALL, width=33, vocabulary=280), recipe=QUICK), tmp_path / "out")
    run_job(Job((data,), scratch=SMALL, recipe=QUICK), tmp_path / "out")
    assert encoder_of(tmp_path / "out" / "last").vocabulary == 300


def test_the_best_weights_of_a_run_that_never_kept_a_state_are_not_taken_for_anothers(tmp_path: Path) -> None:
    data = str(write_texts(tmp_path / "t.parquet", 60))
    job = Job((data,), dev=(data,), scratch=SMALL, recipe=replace(QUICK, check_every=1, keep_every=1000))

    def stop(done: float, text: str) -> None:
        if done > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, tmp_path / "out", on_step=stop)
    assert (tmp_path / "out" / "best").is_dir()
    run_job(replace(job, dev=()), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["model"] == "last"
    assert not (tmp_path / "out" / "best").exists()


def test_a_tokenizers_place_is_no_part_of_a_run(tmp_path: Path) -> None:
    data = str(write_texts(tmp_path / "t.parquet", 60))
    run_job(Job((data,), scratch=SMALL, recipe=QUICK), tmp_path / "one")
    digests = set()
    for name in ("here", "there"):
        (tmp_path / "one" / "last").rename(tmp_path / name)
        job = Job((data,), scratch=replace(SMALL, tokenizer=str(tmp_path / name)), recipe=QUICK)
        run_job(job, tmp_path / f"out-{name}")
        digests.add(json.loads((tmp_path / f"out-{name}" / "run.json").read_text())["run"])
        (tmp_path / name).rename(tmp_path / "one" / "last")
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"rate": 0.0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"warmup": 1.0}, "warmup"),
        ({"clip": -1.0}, "clip"),
        ({"keep_every": -1}, "keep_every"),
    ],
)
def test_recipes_that_cannot_be_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"heads": 0}, {"layers": 0}, {"width": 0}, {"encoder_layers": -1}])
def test_shapes_that_cannot_be_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        Shape(50, **given)


@pytest.mark.parametrize("tokens", ["inf", "nan", "1e400", "0"])
def test_amounts_that_are_no_whole_number_are_refused(tokens: str) -> None:
    result = CliRunner().invoke(foxing, ["train", "x", "-o", "y", "--tokens", tokens])
    assert result.exit_code == 2, result.output


def test_answers_that_are_no_text_are_refused_and_not_left_out(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["two?"], "answer": [2]}), tmp_path / "qa.parquet")
    rows = open_rows([str(tmp_path / "qa.parquet")], trained_tokenizer([], 0))
    with pytest.raises(InputError, match="'answer' holds int64"):
        list(rows.read(0, 0))


def test_of_a_struct_with_a_list_of_answers_the_first_is_learnt(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["q"], "answers": [{"text": ["a", "b"]}]}), tmp_path / "qa.parquet")
    encoder = trained_tokenizer([], 0)
    row = next(iter(open_rows([str(tmp_path / "qa.parquet")], encoder).read(0, 0))).encoded
    assert row is not None and encoder.tokenizer.decode(row.ids.tolist()) == "Q: q\nA: a"


def test_a_question_without_an_answer_gets_one(tmp_path: Path) -> None:
    base = write_causal(tmp_path / "base")
    questions = pq.read_table(write_questions(tmp_path / "qa.parquet", 4)).drop_columns(["answer"])
    pq.write_table(questions.append_column("answer", pa.nulls(4, pa.string())), tmp_path / "qa.parquet")
    assert generate(str(base), [str(tmp_path / "qa.parquet")], tmp_path / "gen", Sampling(max_tokens=3)) == (4, 0)


def test_models_are_asked_for_no_more_positions_than_they_have(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    base = write_causal(tmp_path / "base")
    size = json.loads((base / "config.json").read_text())["vocab_size"]
    few = {"n_positions": 32, "n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0}
    GPT2LMHeadModel(GPT2Config(vocab_size=size, **few)).save_pretrained(base)
    data = str(write_texts(tmp_path / "t.parquet", 10))
    with pytest.raises(ConfigError, match="32 tokens at most"):
        run_job(Job((data,), base=str(base), recipe=replace(QUICK, block=33)), tmp_path / "out")
    generate(str(base), [data], tmp_path / "fits", Sampling(prefix=8, max_tokens=25))
    with pytest.raises(InputError, match="32 positions"):
        generate(str(base), [data], tmp_path / "gen", Sampling(prefix=8, max_tokens=26))


def test_an_answer_that_does_not_fit_has_no_loss_and_an_empty_choice_is_never_best(tmp_path: Path) -> None:
    base = write_causal(tmp_path / "base")
    writer = open_writer(str(base), Device.CPU)
    table = pa.table({"question": ["a dog? " * 40, "a dog?"], "answer": ["hill", "hill"]})
    pq.write_table(table, tmp_path / "qa.parquet")
    items = read_items([str(tmp_path / "qa.parquet")])
    asked = Sampling(temperature=0.0, max_tokens=2)
    loss = evaluate_items(trainable(writer), writer, items, asked, block=16)["loss"]
    assert np.isnan(loss).tolist() == [True, False]
    choices = pa.table({"question": ["a dog"] * 2, "choices": [["", "hill"], ["hill", ""]], "label": [0, 1]})
    pq.write_table(choices, tmp_path / "choices.parquet")
    items = read_items([str(tmp_path / "choices.parquet")])
    plain = replace(asked, template="{prompt}{answer}")
    assert evaluate_items(trainable(writer), writer, items, plain, block=64)["right"].tolist() == [0.0, 0.0]


def test_of_equally_likely_tokens_no_more_than_asked_for_are_drawn_from() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.ones(1, 9)
    assert len({int(next_tokens(logits, Sampling(top_k=2), draw)) for _ in range(60)}) == 2


@pytest.mark.parametrize("puts", [True, False])
def test_a_mark_of_beginning_is_put_in_front_where_the_tokenizer_does_so(tmp_path: Path, *, puts: bool) -> None:
    from transformers import AutoTokenizer

    write_tokenizer(tmp_path, marks=puts)
    AutoTokenizer.from_pretrained(tmp_path, bos_token="[CLS]").save_pretrained(tmp_path)
    encoder = encoder_of(tmp_path)
    assert encoder.start == ((2,) if puts else ())
    row = encoder.encode([Piece("the dog")])
    assert row is not None and (row.ids[0] == 2) == puts and not (puts and row.learnt[0])
