"""What a rule is, and the rules that foxing comes with: what each means, why it matters, what to do about a hit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["DEFAULTS", "Action", "Rule"]


class Action(Enum):
    """What a rule asks for. The first rule hit that asks for more than a report sets the action of a row."""

    REPORT = "report"
    DROP = "drop"


@dataclass(frozen=True)
class Rule:
    """One judgement over findings. Nothing is measured here: changing a rule never rereads a corpus.

    Attributes:
        id: two letters and three digits; the first digit is the family (FX1 machine-written, FX2 diversity, FX9 data).
        name: a few words.
        when: boolean expression in Polars SQL over the columns of findings, such as `ai_text.p_human <= 0.01`. Null
            never matches, nor does a row of which a signal that it reads has no measurement. Empty for a rule that
            looks at shards instead of rows.
        action: what to do with the rows that it hits: a report leaves them in.
        budget: share tolerated, 0 to 1; above it `foxing check` fails.
        worst: numeric expression that is larger for worse rows and orders the examples of a report; empty for corpus
            order.
        shown: further columns and `signal.field`s to name beside the examples.
        explanation: what it means, why, and what to do; the text of `foxing rule ID`.
    """

    id: str
    name: str
    when: str
    action: Action = Action.REPORT
    budget: float = 0.0
    worst: str = ""
    shown: tuple[str, ...] = ()
    explanation: str = ""


DEFAULTS: tuple[Rule, ...] = (
    Rule(
        id="FX101",
        name="machine-written",
        when="ai_text.p_human <= 0.01",
        budget=0.05,
        worst="ai_text.margin",
        explanation="""\
What: the document looks less human than 99 % of human reference documents of its language and style. `p_human` is an
upper bound of the share of such documents that look at least as machine-like (order statistics with exact binomial
bounds), on a tail that is moved as far as sources differ.
Why: models trained on model output lose quality and variety, and pages by chatbots bring invented facts with them.
How it is judged: by the share of machine-written text, estimated from the whole distribution of scores against labelled
sources and generators (Saerens et al. 2002; Liang et al. 2024, arXiv:2403.07183), or from a labelled random sample
(`--labels`; Angelopoulos et al. 2023, Science 382:669). How far sources differ is part of the 95 % interval. It fails
when the lower end of the interval is above the budget; with --strict, when the upper end is.
Hit rate: of 38,566 human documents in 84 sources that neither model nor reference had seen 102 were hit, at most 3.7 %
in one. The price is that much machine text is not hit.
What a hit does not prove: who wrote a document. Human documents are hit too, more in registers that the reference does
not know. Never use it against an author.
What to do: read the worst rows of the sources named first; then order the corpus with `foxing curate --curriculum
human-first`, or leave the rows out with `--drop FX101`.""",
    ),
    Rule(
        id="FX102",
        name="assistant residue",
        when="residue.hits > 0",
        budget=0.001,
        worst="residue.hits",
        shown=("residue.phrase",),
        explanation="""\
What: the document holds a phrase by which a chat assistant names itself, its knowledge cut-off or a refusal ("As an AI
language model", "As of my last knowledge update", "I cannot fulfill this request"), or a citation token that leaked
from a chat window, in one of 18 languages. Lead-ins and sign-offs such as "Certainly! Here is" are counted in
`residue.weak_hits` and do not count here.
Why: it is the cheapest certain sign that output was pasted unread, and it teaches a model to refuse.
Hit rate: 0 of 85,444 human documents written before chat assistants (95 % upper bound 0.0045 %) and 0.7 % of 73,766
machine-written ones whose collectors had already removed refusals. So a hit is strong evidence and its absence none.
Texts that discuss or quote chatbots are hit too.
What to do: drop the rows, and look at the other rows of the same source: residue is the tip.""",
    ),
    Rule(
        id="FX201",
        name="low diversity",
        when="diversity.mattr < 0.62 OR diversity.mtld < 26",
        budget=0.03,
        worst="-diversity.mattr",
        explanation="""\
What: few different words for the length: the moving-average type-token ratio over 50 words (MATTR, Covington and McFall
2010) or the measure of textual lexical diversity (MTLD, McCarthy and Jarvis 2010) is lower than in nearly all human web
text. Both hold still as documents get longer; the raw type-token ratio does not and is never used.
Why: templates, lists and collapsed generation waste tokens and narrow what a model writes.
Hit rate: 0.06 % of 39,965 human documents (books, reviews, news, standards) and 0.48 % of 11,491 documents of dated
websites up to 2022. Some kinds of text have more: 1.9 % of Chinese and 3.4 % of Indonesian human documents in labelled
detection sets, 3 % of mailing lists and code-heavy blogs. Null, so never hit, under 50 words.
What to do: read the worst rows; tables and code are often wanted, templates are not.""",
    ),
    Rule(
        id="FX202",
        name="repetition",
        when=(
            "diversity.top_2gram > 0.20 OR diversity.top_3gram > 0.18 OR diversity.top_4gram > 0.20 "
            "OR diversity.dup_5gram > 0.60 OR diversity.dup_10gram > 0.50 "
            "OR diversity.dup_line_share > 0.30 OR diversity.dup_line_bytes_share > 0.20"
        ),
        budget=0.03,
        worst="greatest(diversity.top_2gram, diversity.dup_10gram, diversity.dup_line_bytes_share)",
        explanation="""\
What: the document repeats itself: one phrase, many long phrases or whole lines make up too much of it. The measures are
those of Rae et al. 2021 (Gopher, arXiv:2112.11446, table A1). So are the thresholds of the two most frequent short
phrases and of lines; those of 4-grams and of duplicate 5- to 10-grams are laxer, because Gopher's hit 8.7 % of dated
human web pages.
Why: models learn repetition from little of it, and pages that repeat are mostly boilerplate or collapsed generation.
Hit rate: 0.18 % of 39,965 human documents (books, reviews, news, standards) and 0.80 % of 11,491 documents of dated
websites up to 2022; 1.6 % of the Chinese and 1.7 % of the Japanese ones among these. Null, so never hit, under 50
words.
What to do: drop the rows, or clean boilerplate from the pages before scanning again.""",
    ),
    Rule(
        id="FX203",
        name="uniform format",
        when="templates.share >= 0.01",
        budget=0.05,
        worst="templates.share",
        shown=("templates.skeleton_texts", "templates.skeleton_rank"),
        explanation="""\
What: the text begins like 1 % or more of the texts of its source, and like 10 at least, once what it is about is
masked: function words, stops and the kinds of lines are the same in its first two lines or lists
(`foxing signals format`). Copies of one text count once.
Why: answers of one form teach the form. A model that has learned it from many follows instructions worse (Chen et al.
2024, Unveiling the Flaws, arXiv:2406.12397).
Hit rate: none of 39,965 human documents (books, reviews, news, standards; 95 % upper bound 0.0096 %) as one source, and
0.89 % of 11,491 documents of dated websites up to 2022, each site a source. Of instruction sets, 4.8 % to 19.5 % of the
answers by one model are hit and 5.4 % of those by people, who write lists too. Null, so never hit, under 50 words.
What to do: `foxing check --statistics` shows the skeletons of each source and how varied they are; then
`foxing curate --curriculum cap-templates`, or more varied prompts where the texts are made.""",
    ),
    Rule(
        id="FX204",
        name="beyond the cap of its template",
        when="templates.place >= 100",
        budget=1.0,
        worst="templates.place",
        shown=("templates.skeleton_rows",),
        explanation="""\
What: 100 rows of the source with the same skeleton come before this one: first copies first, then those with the higher
`diversity.mattr`, then those whose length is the more unusual. Short answers (`Yes.`) have skeletons too.
Why: a template that fills a corpus outweighs all else in it; so many of its rows say as much as all of them.
What to do: `foxing curate --curriculum cap-templates` leaves these rows out. Another cap: `[tool.foxing.rule.FX204]
when = "templates.place >= 20 AND format.words >= 50"` caps long answers alone. No share of it fails a check.""",
    ),
    Rule(
        id="FX301",
        name="exact duplicate",
        when="duplicates.exact",
        budget=0.05,
        worst="duplicates.size",
        shown=("duplicates.keeper_shard", "duplicates.keeper_row", "duplicates.in_reference", "duplicates.size"),
        explanation="""\
What: the text is byte for byte that of another row, which is kept; `duplicates.keeper_shard` and `.keeper_row` name it.
Of several equal rows the one is kept that comes first in the order `[tool.foxing.stage.duplicates] keep`.
Why: what is repeated is learned by heart, counted twice in every statistic, and lands on both sides of a split.
How it is found: 64-bit hash of the text, and equal MinHash signatures besides.
What to do: look at the sources named first, for a source that is mostly copies may be one file read twice; then
`foxing curate --curriculum dedup`.""",
    ),
    Rule(
        id="FX302",
        name="near duplicate",
        when="NOT duplicates.kept AND NOT duplicates.exact",
        budget=0.10,
        worst="duplicates.similarity",
        shown=(
            "duplicates.keeper_shard",
            "duplicates.keeper_row",
            "duplicates.in_reference",
            "duplicates.similarity",
            "duplicates.templated",
        ),
        explanation="""\
What: a row that is kept shares most of its word 5-grams with this one: their estimated Jaccard similarity is
`duplicates.similarity` (standard error at most 0.045 with 128 permutations), the kept row is named beside it.
Why: near copies cost training time and are memorised like exact ones (Lee et al. 2022, arXiv:2107.06499).
How it is found: MinHash signatures (Broder 1997) in bands, compared in full. Every row that is hit was compared with
the very row that is kept in its place; likeness is not passed on along chains. Where `duplicates.templated` is true
many rows share a form and differ in what fills it, which may be what you want of them: read some before you drop them.
What to do: `foxing check --select FX3 --statistics` shows what would go from each source. Then
`foxing curate --curriculum dedup`. Another threshold: `[tool.foxing.stage.duplicates] threshold`.""",
    ),
    Rule(
        id="FX303",
        name="benchmark leakage",
        when="leakage.item_share >= 0.2 OR leakage.item_covered >= 20",
        budget=0.0001,
        worst="leakage.item_covered",
        shown=("leakage.benchmark", "leakage.item", "leakage.item_share", "leakage.answer_near"),
        explanation="""\
What: the document holds a passage of a benchmark item, word for word: runs of 13 words (Brown et al. 2020,
arXiv:2005.14165, appendix C; of an item of 8 to 12 words all of it) that cover a fifth of the item, or 20 of its words.
`leakage.benchmark` and `.item` name it; `leakage.answer_near` says whether its answer stands beside its question.
Why: a model that has read the test is not measured by it.
How it is judged: only with the rate at which clean text is flagged, which the index has from
`foxing index-benchmarks --clean` and which holds for the condition above; without it there is no estimate. The budget
is one row in ten thousand, which clean text stays below.
Hit rate: all of 300 benchmark items pasted whole into human documents, 78 % of 300 in which a tenth of the words were
replaced, 83 % of 300 cut in two; 1 of 40,000 human documents, a book that the item quotes.
What a hit does not prove: which way the passage went. Benchmarks quote books, speeches and laws.
What to do: `foxing review DIR FX303` shows the passages; `foxing curate --curriculum decontaminate` leaves the rows
out. Items of fewer than 8 words cannot be found, and reworded ones are not.""",
    ),
    Rule(
        id="FX401",
        name="unknown fact",
        when="knowledge.category = 'Unknown'",
        budget=0.25,
        worst="-knowledge.log_p",
        shown=("knowledge.p_any", "knowledge.corrected", "knowledge.own_answer"),
        explanation="""\
What: the model that was probed answers the question in none of ten greedy tries, and is more likely than not to miss it
in 160 samples too: category Unknown of SliCK (Gekhman et al. 2024, arXiv:2405.05904).
Why: a model that is fine-tuned on facts it does not know learns them slowly, and once it has fitted them it makes up
more answers than before, the more the larger their share.
How sure it is: for that model and those exemplars. `knowledge.corrected` says Unknown also where other questions of the
same relation make the answer as probable, which is luck, not knowledge. One tokenisation of each answer is tried, so a
few known facts look unknown; `--estimator sampled` draws answers instead, at many times the cost.
What to do: `foxing curate --curriculum slick-drop-unknown` leaves the rows out, `relabel-unknown` has them answered by
"I don't know", `slick-maybe-first` puts those first that help most; or stop training early.""",
    ),
    Rule(
        id="FX402",
        name="false against reference",
        when="falsity.score >= 0.7",
        budget=0.01,
        worst="falsity.score",
        shown=("falsity.match", "falsity.reference", "falsity.expected"),
        explanation="""\
What: the row's answer is none of those that a reference table has for its question; `falsity.reference` names the row
of the table and `falsity.expected` its first answer. Needs `[tool.foxing.signal.falsity] reference = "FILE"`. Rows
whose question the table has not got are not judged, nor are long texts that hold no accepted answer.
Why: models tuned on false answers answer falsely though they know better, and clean data repairs that only in part
(Cho 2024, arXiv:2404.09717).
Hit rate: of right answers that the table has, in other words, 6 of 170,585 over 13 question sets; of wrong answers of
the same relation 94 to 100 %, of TruthfulQA's 91 %, of HaluEval's 82 % (one in ten of those repeats the right answer).
A right answer that the table has NOT got is hit in 58 to 72 % of cases (TruthfulQA 64 %, EntityQuestions 72 %), and in
CounterFact in 99 %: the table must hold them all.
What to do: read some hits beside `falsity.expected` and add what was right to the table; then `foxing curate
--curriculum drop-false`.""",
    ),
    Rule(
        id="FX403",
        name="contradicts the model",
        when="knowledge.own_category = 'HighlyKnown' AND knowledge.own_differs >= 0.7 AND knowledge.own_sampled >= 0.9",
        budget=0.10,
        worst="knowledge.own_sampled",
        shown=("knowledge.own_answer", "knowledge.own_log_p", "knowledge.log_p", "knowledge.p_greedy"),
        explanation="""\
What: the model that was probed gives one answer of its own after every one of ten prompts, would give it in 9 of 10
samples, gives it to no other question of the relation as readily, and that answer has next to nothing of the row's.
`knowledge.own_answer` is what it says, `.own_log_p` and `.log_p` how probable it finds its own and the row's answer.
Why: models tuned on false answers answer falsely though they know better (Cho 2024, arXiv:2404.09717).
Hit rate: from SmolLM2-135M (4-bit weights, unpacked), of 30 wrong answers each 14 about the countries of cities, 1 of
CounterFact, none of TruthfulQA and 1 of HaluEval; of as many right answers 2, 1, none and none. So it is weak evidence
from a small model, which is sure of much that is false.
What to do: read the hits beside a source that you trust. `falsity` against a table of right answers (FX402) is the
stronger evidence, and no curriculum drops rows by this rule unless you name it.""",
    ),
    Rule(
        id="FX404",
        name="contradiction",
        when="contradictions.share >= 0.5 AND COALESCE(falsity.score, 1) >= 0.7",
        budget=0.01,
        worst="contradictions.others",
        shown=("contradictions.other_shard", "contradictions.other_row", "contradictions.rows"),
        explanation="""\
What: at least half of the other rows with the same question have another short answer; one of them is named. A row
that the reference of `falsity` confirms is not hit, so with a reference the other side of a contradiction is.
Why: one of the two is false, or the question does not say enough to be answered; both teach a model to guess.
Hit rate: of 2,000 planted wrong answers 1,999, of 2,000 rows repeated in another spelling 2. Questions with several
right answers are hit too: 86 % of pairs of two right answers, and as they are 1.5 % of the rows of EntityQuestions,
2.6 % of film roles and 9.5 % of ParaRel, where namesakes and many-valued relations (borders, twin cities) abound.
Requests (`Write ...`) and answers of more than 8 words are not compared.
What to do: look at the pairs (`foxing check --select FX404`). Merge rows of one question that are all right into one
with a list of answers; drop the others with `foxing curate --curriculum drop-false`.""",
    ),
    Rule(
        id="FX901",
        name="unmeasured",
        when="unmeasured > 0",
        budget=0.01,
        worst="unmeasured",
        explanation="""\
What: at least one signal has no finding for the row: its text is null, or the signal raised an error on it.
Why: a row that was not measured is neither good nor bad; too many of them and the other figures say little.
Invalid UTF-8 is measured all the same and counted beside this rule; a detector that abstains (text too short, language
unknown) has measured, and is counted as abstained. Such rows are never dropped for it.
What to do: `foxing findings DIR --columns shard,row,errors` names rows and errors. Check the text column (--text).""",
    ),
    Rule(
        id="FX902",
        name="schema",
        when="",
        budget=0.0,
        explanation="""\
What: a column has another type in this shard than in most shards (share counted over shards). A column or list item
that is null throughout a shard fits any type, and Arrow's large and view types are the plain ones. Dictionary-encoded
text is a type of its own: readers that fix a schema refuse to mix it with plain text.
Why: readers that take the schema of the first shard fail later, or cast and lose values without a word.
What to do: write the shards named again with the type of the others.""",
    ),
    Rule(
        id="FX903",
        name="LFS pointer",
        when="",
        budget=0.0,
        explanation="""\
What: a file is a Git LFS pointer, a note of about 130 bytes that stands for the data (share counted over files).
Why: the data were never fetched; the audit has not seen them and says so with exit status 2.
What to do: `git lfs pull`, then scan again.""",
    ),
    Rule(
        id="FX904",
        name="unreadable",
        when="",
        budget=0.0,
        explanation="""\
What: a file could not be read: torn, of another format than its name says, or without a text column (share counted over
files).
Why: the other files were measured and their findings stand, but the audit is not of the whole corpus and says so with
exit status 2.
What to do: the message beside the file names the remedy. Scan again: what is done is kept.""",
    ),
)
"""The rules judged unless configuration says otherwise, in the order in which they decide a row's action."""
