"""Question-answer rows for the sample corpus, written for this project; a few answers are wrong on purpose."""

from __future__ import annotations

__all__ = ["CHATS", "FACTS", "TEMPLATE_FACTS"]

# Questions a person might type and the answers they would jot down. The last field: is the answer right?
FACTS: tuple[tuple[str, str, bool], ...] = (
    ("what's the boiling point of water up a mountain?", "lower than 100. about 90 C at 3000 m, give or take", True),
    (
        "why do leaves go red in autumn",
        "the green pigment breaks down, and the tree makes red ones while it still can",
        True,
    ),
    ("how many legs has a lobster", "ten, if you count the two with the claws on", True),
    (
        "Is a tomato a fruit or a vegetable?",
        "Botanists say fruit, cooks say vegetable. Both are right in their own kitchen.",
        True,
    ),
    ("which planet has the longest day", "Venus - one turn takes longer than its year", True),
    ("Who wrote Frankenstein?", "Mary Shelley. She was eighteen when she started it.", True),
    ("how far is the moon", "roughly 384 thousand km, it wobbles by 20 thousand either way", True),
    ("do goldfish really forget after three seconds", "no, they can be trained and remember for months", True),
    ("What is the capital of Australia?", "Sydney.", False),
    ("can you see the great wall from space", "yes, it's the only man made thing you can see from the moon", False),
    ("why is the sky blue", "because it reflects the sea", False),
    ("how many bones does a shark have", "None. It is all cartilage.", True),
    ("when did the Berlin Wall come down", "9 November 1989, in the evening, by mistake in a press conference", True),
    ("Is glass a slow liquid?", "Yes, old windows are thicker at the bottom because it flows.", False),
    ("what do bees do in winter", "huddle round the queen and shiver, eating the honey they put by", True),
    ("largest desert in the world?", "Antarctica, if cold ones count. otherwise the Sahara", True),
    ("how long is an eternity ring warranty lol", "read the box mate", True),
    ("what's a leap second", "one second stuck on to a minute so clocks keep up with the earth slowing down", True),
    (
        "Do we only use ten percent of our brain?",
        "Yes, scientists have shown that ninety percent is never used.",
        False,
    ),
    ("who was first at the south pole", "Amundsen, December 1911. Scott got there a month later", True),
    ("why does bread go stale", "the starch crystallises again; toasting undoes some of it", True),
    ("speed of sound in air", "about 343 m/s at room temperature", True),
    ("how many strings on a violin", "four: G D A E", True),
    ("What colour is a polar bear's skin?", "Black, under hair that has no colour at all.", True),
)

# The uniform format that a generator gives: (country, capital, river), one question and one sentence for each.
TEMPLATE_FACTS: tuple[tuple[str, str, str], ...] = (
    ("France", "Paris", "the Seine"),
    ("Egypt", "Cairo", "the Nile"),
    ("Hungary", "Budapest", "the Danube"),
    ("Iraq", "Baghdad", "the Tigris"),
    ("Austria", "Vienna", "the Danube"),
    ("Portugal", "Lisbon", "the Tagus"),
    ("Serbia", "Belgrade", "the Danube"),
    ("Poland", "Warsaw", "the Vistula"),
    ("Latvia", "Riga", "the Daugava"),
    ("Italy", "Rome", "the Tiber"),
    ("Sudan", "Khartoum", "the Nile"),
    ("Mali", "Bamako", "the Niger"),
    ("Slovakia", "Bratislava", "the Danube"),
    ("Ukraine", "Kyiv", "the Dnieper"),
    ("Paraguay", "Asunción", "the Paraguay"),
    ("Vietnam", "Hanoi", "the Red River"),
    ("Lithuania", "Vilnius", "the Neris"),
    ("Slovenia", "Ljubljana", "the Ljubljanica"),
    ("Laos", "Vientiane", "the Mekong"),
    ("Cambodia", "Phnom Penh", "the Mekong"),
)

# What users asked in the support chat; the replies are passages of machine_text.txt.
CHATS: tuple[str, ...] = (
    "hi, the kettle i bought last week keeps switching off half way. what now",
    "can you explain it to me like i'm twelve please",
    "need something for the newsletter, 100 words max",
    "My order number is 0042. Where is my parcel?",
    "thanks but that is not what I asked. Again: how does it work?",
    "which one would YOU take?",
    "write me two paragraphs, friendly, not too salesy",
    "summarise the article in a few bullet points",
    "why does it do that",
    "I have an exam on Monday and no clue, help",
)
