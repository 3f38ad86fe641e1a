"""Questions with one answer each, by relation: of a file, or made in code.

What is made in code asks for capitals and chemical symbols, of which a language model knows many, and for the home and
the trade of people who do not exist, of which it can know nothing.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.errors import InputError
from detectors.exemplars import Fact, Pool, question_hash
from detectors.probing import Question

__all__ = ["Drawn", "digest_of_facts", "drawn", "facts_at", "made_facts", "read_facts"]

I64 = npt.NDArray[np.int64]
_COLUMNS = ("question", "answers", "relation")
_TAKEN = "entity_questions"
_CAPITALS = (
    "Albania Tirana|Algeria Algiers|Angola Luanda|Argentina Buenos_Aires|Armenia Yerevan|Australia Canberra|"
    "Austria Vienna|Azerbaijan Baku|Bangladesh Dhaka|Belarus Minsk|Belgium Brussels|Bolivia Sucre|Botswana Gaborone|"
    "Brazil Brasília|Bulgaria Sofia|Cambodia Phnom_Penh|Cameroon Yaoundé|Canada Ottawa|Chad N'Djamena|Chile Santiago|"
    "China Beijing|Colombia Bogotá|Croatia Zagreb|Cuba Havana|Cyprus Nicosia|Denmark Copenhagen|Ecuador Quito|"
    "Egypt Cairo|Eritrea Asmara|Estonia Tallinn|Ethiopia Addis_Ababa|Finland Helsinki|France Paris|Gabon Libreville|"
    "Georgia Tbilisi|Germany Berlin|Ghana Accra|Greece Athens|Guatemala Guatemala_City|Guinea Conakry|"
    "Haiti Port-au-Prince|Honduras Tegucigalpa|Hungary Budapest|Iceland Reykjavík|India New_Delhi|Indonesia Jakarta|"
    "Iran Tehran|Iraq Baghdad|Ireland Dublin|Italy Rome|Jamaica Kingston|Japan Tokyo|Jordan Amman|Kazakhstan Astana|"
    "Kenya Nairobi|Kuwait Kuwait_City|Kyrgyzstan Bishkek|Laos Vientiane|Latvia Riga|Lebanon Beirut|Liberia Monrovia|"
    "Libya Tripoli|Lithuania Vilnius|Luxembourg Luxembourg|Madagascar Antananarivo|Malawi Lilongwe|"
    "Malaysia Kuala_Lumpur|Mali Bamako|Malta Valletta|Mexico Mexico_City|Moldova Chișinău|Mongolia Ulaanbaatar|"
    "Morocco Rabat|Mozambique Maputo|Namibia Windhoek|Nepal Kathmandu|Netherlands Amsterdam|New_Zealand Wellington|"
    "Nicaragua Managua|Niger Niamey|Nigeria Abuja|North_Macedonia Skopje|Norway Oslo|Oman Muscat|Pakistan Islamabad|"
    "Panama Panama_City|Paraguay Asunción|Peru Lima|Philippines Manila|Poland Warsaw|Portugal Lisbon|Qatar Doha|"
    "Romania Bucharest|Russia Moscow|Rwanda Kigali|Saudi_Arabia Riyadh|Senegal Dakar|Serbia Belgrade|"
    "Sierra_Leone Freetown|Slovakia Bratislava|Slovenia Ljubljana|Somalia Mogadishu|South_Korea Seoul|Spain Madrid|"
    "Sudan Khartoum|Sweden Stockholm|Switzerland Bern|Syria Damascus|Tajikistan Dushanbe|Tanzania Dodoma|"
    "Thailand Bangkok|Togo Lomé|Tunisia Tunis|Turkey Ankara|Turkmenistan Ashgabat|Uganda Kampala|Ukraine Kyiv|"
    "United_Kingdom London|United_States Washington|Uruguay Montevideo|Uzbekistan Tashkent|Venezuela Caracas|"
    "Vietnam Hanoi|Yemen Sana'a|Zambia Lusaka|Zimbabwe Harare"
)
_SYMBOLS = (
    "hydrogen H|helium He|lithium Li|beryllium Be|boron B|carbon C|nitrogen N|oxygen O|fluorine F|neon Ne|sodium Na|"
    "magnesium Mg|aluminium Al|silicon Si|phosphorus P|sulfur S|chlorine Cl|argon Ar|potassium K|calcium Ca|"
    "scandium Sc|titanium Ti|vanadium V|chromium Cr|manganese Mn|iron Fe|cobalt Co|nickel Ni|copper Cu|zinc Zn|"
    "gallium Ga|germanium Ge|arsenic As|selenium Se|bromine Br|krypton Kr|rubidium Rb|strontium Sr|yttrium Y|"
    "zirconium Zr|niobium Nb|molybdenum Mo|ruthenium Ru|rhodium Rh|palladium Pd|silver Ag|cadmium Cd|indium In|tin Sn|"
    "antimony Sb|tellurium Te|iodine I|xenon Xe|caesium Cs|barium Ba|lanthanum La|cerium Ce|neodymium Nd|samarium Sm|"
    "europium Eu|gadolinium Gd|terbium Tb|erbium Er|ytterbium Yb|hafnium Hf|tantalum Ta|tungsten W|rhenium Re|"
    "osmium Os|iridium Ir|platinum Pt|gold Au|mercury Hg|thallium Tl|lead Pb|bismuth Bi|radon Rn|radium Ra|thorium Th|"
    "uranium U|plutonium Pu"
)
_FIRST = "Ald Bren Cor Dav Elm Fen Gar Hol Ist Jor Kel Lor Mar Nev Orl Pet Ros Sel Tam Vik".split()
_LAST = (
    "ander bury combe dale ester field grove holm ington kirk land mond nell ock path quist rick stead thorn".split()
)
_TRADES = "baker carpenter dentist engineer farmer glazier librarian mason nurse painter sailor tailor weaver".split()


def read_facts(path: str) -> list[Question]:
    """Questions of a file that have one answer and a relation; of several sources those of EntityQuestions alone.

    Raises:
        InputError: it is not there or no Parquet, or columns or such questions are missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as Parquet ({reason}). Name another file with --data.") from error
    if lacking := [name for name in _COLUMNS if name not in schema.names]:
        raise InputError(f"{path}: no column {', '.join(lacking)}. Give Parquet with {', '.join(_COLUMNS)}.")
    columns = [*_COLUMNS, *(["source"] if "source" in schema.names else [])]
    rows = pq.read_table(path, columns=columns).to_pylist()
    if any(row.get("source") == _TAKEN for row in rows):
        rows = [row for row in rows if row["source"] == _TAKEN]
    found: dict[str, Question] = {}
    for row in rows:
        answers = [row["answers"]] if isinstance(row["answers"], str) else list(row["answers"] or ())
        if row["question"] and row["relation"] and len(answers) == 1 and answers[0].strip():
            found.setdefault(
                question_hash(row["question"]), Question(row["question"], (answers[0].strip(),), row["relation"])
            )
    if not found:
        raise InputError(f"{path}: holds no question with one answer and a relation. Name another file with --data.")
    return list(found.values())


def made_facts() -> list[Question]:
    """What is made in code: capitals, chemical symbols, and people with a home and a trade."""
    countries = [tuple(part.replace("_", " ") for part in pair.split(" ")) for pair in _CAPITALS.split("|")]
    found = [Question(f"What is the capital of {country}?", (city,), "capital") for country, city in countries]
    for element, symbol in (pair.split(" ") for pair in _SYMBOLS.split("|")):
        found.append(Question(f"What is the chemical symbol of {element}?", (symbol,), "symbol"))
    cities = [city for _, city in countries]
    for at, (first, last) in enumerate(itertools.product(_FIRST, _LAST)):
        person = f"{_FIRST[_mixed(at, 3, len(_FIRST))]}en {first}{last}"
        found.append(Question(f"In which city was {person} born?", (cities[_mixed(at, 7, len(cities))],), "birthplace"))
        found.append(Question(f"What is the trade of {person}?", (_TRADES[_mixed(at, 5, len(_TRADES))],), "trade"))
    return found


def _mixed(at: int, salt: int, size: int) -> int:
    """A number below `size` that follows no pattern of `at`."""
    return int.from_bytes(hashlib.blake2b(f"{salt} {at}".encode(), digest_size=4).digest()) % size


def digest_of_facts(facts: Sequence[Question]) -> str:
    """SHA-256, hex, of questions, answers and relations in order."""
    lines = (f"{fact.relation}\t{fact.text}\t{fact.answers}" for fact in facts)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Drawn:
    """Facts of one seed.

    Attributes:
        facts: F of them.
        pool: exemplars, none of which is among the facts.
        train: int64, which facts are trained on; ascending.
        dev: int64, which decide when to stop.
        test: int64, which are tested on.
    """

    facts: tuple[Question, ...]
    pool: Pool
    train: I64
    dev: I64
    test: I64


def drawn(facts: Sequence[Question], *, relations: int, each: int, reserve: int, seed: int) -> Drawn:
    """Draw facts of the relations that have the most: `reserve` for exemplars, then 70, 10 and 20 of a hundred.

    Args:
        facts: to draw from.
        relations: how many, the largest ones; which these are does not depend on the seed.
        each: facts of a relation at most, besides the reserve.
        reserve: exemplars of each.
        seed: of the draw.

    Raises:
        InputError: no relation with facts enough.
    """
    by: dict[str, list[Question]] = defaultdict(list)
    for fact in facts:
        by[fact.relation].append(fact)
    largest = sorted((name for name in by if len(by[name]) >= 2 * reserve), key=lambda name: (-len(by[name]), name))
    if not largest:
        raise InputError(f"facts: no relation has {2 * reserve} of them. Give more with --data.")
    draw = np.random.default_rng([seed, 11])
    chosen: list[Question] = []
    kept: list[Fact] = []
    parts: list[list[int]] = [[], [], []]
    for name in largest[:relations]:
        order = draw.permutation(len(by[name]))[: reserve + each].tolist()
        kept += [Fact(name, by[name][at].text, by[name][at].answers[0]) for at in order[:reserve]]
        numbers = list(range(len(chosen), len(chosen) + len(order) - reserve))
        chosen += [by[name][at] for at in order[reserve:]]
        edges = [0, round(0.7 * len(numbers)), round(0.8 * len(numbers)), len(numbers)]
        for part, (start, stop) in zip(parts, itertools.pairwise(edges), strict=True):
            part += numbers[start:stop]
    train, dev, test = (np.array(part, np.int64) for part in parts)
    return Drawn(tuple(chosen), Pool.of(kept), train, dev, test)


def facts_at(path: str) -> list[Question]:
    """Those of a file, or those made in code where none is named."""
    return read_facts(path) if path else made_facts()
