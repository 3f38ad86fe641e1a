"""A cheap guess at the language of a document, from counts that the feature pass makes anyway: scripts and votes.

Scripts decide where one script means one language; among languages of one script, the most frequent function words
vote. It separates the languages that calibration knows; it is no general language identifier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["LANGUAGES", "UNKNOWN", "function_words", "guess", "lexicon"]

UNKNOWN = "und"

_FUNCTION_WORDS: dict[str, str] = {
    "en": "the of and to in is that it was for with as are be this have from or by not but which you at they his we "
    "had an were their there what been would who will can has more if its about when them these so your all she her "
    "him",
    "de": "der die und das ist nicht ein eine den mit von zu im auf für sich dem des auch als werden wird es sind "
    "bei ich wir sie aus wie oder aber wenn nach über nur noch einen einer kann haben hat zum zur durch dass war mir",
    "fr": "le la les des et est une un du pour dans que qui pas en au ce sur vous nous avec plus il ne par se sont "
    "mais ou cette être fait comme je elle aux leur était même tout d'un c'est qu'il n'est ces sa son ont deux",
    "es": "el la los las de que y en un una es por con para no se del su al lo como más pero sus este está son le ya "
    "o cuando muy esta fue ha sin sobre también todo hay donde porque puede yo era nos entre desde si mi eso",
    "it": "il la di che e è un una per non in del della con sono si dei le gli lo da al nel alla più come ma anche ha "
    "questo delle i ho essere se quando tutto mi ci su dal suo cui nella degli era sono stato dalla ai loro",
    "pt": "o a os as de que e do da em um uma para com não se por no na dos mais como mas ao das é foi ele você isso "
    "seu sua ou ser quando muito nos já está também são pelo pela até isso ela entre depois sem mesmo aos nas",
    "nl": "de het een en van is dat in niet op te zijn voor met die er aan ook om als dan maar bij door naar wordt uit "
    "ik je we ze nog wel hebben heeft kan over geen meer worden deze werd tot dit hij zich moet hun was",
    "sv": "och att det som en är på av för med den inte till ett har om var jag vi från de men kan så när eller ska "
    "man här också efter alla denna mycket vara sig skulle mig nu där bara",
    "da": "og at det som en er på af for med den ikke til et har om var jeg vi fra de men kan så når eller skal man "
    "her også efter alle denne meget være sig skulle mig nu der bare blev hvor hvad",
    "no": "og at det som en er på av for med den ikke til et har om var jeg vi fra de men kan så når eller skal man "
    "her også etter alle denne mye være seg skulle meg nå der bare ble hvor hva noe",
    "fi": "ja on ei se että oli hän mutta ovat kun myös niin jos tai mitä kuin vain joka mukaan olla voi hänen sen "
    "tämä sitä minä ole kanssa jo nyt sekä jotka ovat tässä siitä",
    "pl": "i w na z do się nie to że jest o jak za od po ale są przez tak czy tym może dla jego być który już tylko "
    "co był tego przy także które ich oraz będzie bardzo więc jednak jeszcze",
    "cs": "a v na se je to že s z do o jako ale jsem pro by ve k po co jsou které není být tak při který už jeho nebo "
    "jak byl si také jen až podle bylo budou může ze když ještě",
    "ro": "și de în la cu pe nu este o un din care să se pentru că mai sunt ca dar au al fost sau lui prin ale după "
    "fi ce cum acest această între poate fiind",
    "hu": "a az és hogy nem egy is ez azt meg van csak de ha már vagy még mint volt lehet el kell ezt aki ki minden "
    "után nagyon úgy mert akkor pedig",
    "tr": "ve bir bu için de da ile olarak çok daha olan gibi ne var en o kadar sonra ama değil her mi ben diye ya "
    "olduğu göre tarafından ise şey bunu kendi",
    "id": "yang dan di dengan untuk dari ini itu pada tidak dalam adalah ke akan juga atau oleh sebagai karena bisa "
    "ada saya kami kita mereka telah dapat lebih sudah tersebut bahwa saat hanya seperti menjadi",
    "vi": "và của là có không được cho trong một những các với người này đã khi để từ như cũng nhiều ra đến đó vào "
    "bạn tôi thì phải sẽ nhưng trên về làm nếu hay",
    "ru": "и в не на что с по как это но из у за к то от для о так же его все он она мы вы я бы был если только или "
    "уже есть может было при до их чтобы когда быть очень также которые после",
    "uk": "і в не на що з по як це але із у за до то від для про так його все він вона ми ви я би був якщо тільки або "
    "вже є може було при їх щоб коли бути дуже також які після та",
    "bg": "и в не на че с по как това но от за до се да е са ще със във като му тя той ние вие аз би беше ако само или "
    "вече има може при след които когато много също който към те",
    "ar": "في من على إلى أن التي الذي هذا هذه عن مع كان كما لا ما أو بين بعد قد كل هو هي لم ذلك إن لكن حيث عند غير",
    "fa": "و در به از که این را با است برای آن یک خود تا بر هم نیز شده می های ها شود اما بود کرد ای دارد باید آنها",
    "ur": "کے کی میں ہے اور سے کا کو اس نے ہیں پر یہ کہ بھی نہیں ایک تھا جو وہ کر ہو گیا تھے تھی کیا لیے ان",
    "hi": "के है में की और का को से यह पर नहीं हैं कि एक भी इस कर लिए तो ने हो था वह या थे जो अपने साथ",
}

LANGUAGES = tuple(_FUNCTION_WORDS)
"""Languages with function words, in the order of the vote columns."""

_BY_SCRIPT = {
    "latin": (
        "en",
        "de",
        "fr",
        "es",
        "it",
        "pt",
        "nl",
        "sv",
        "da",
        "no",
        "fi",
        "pl",
        "cs",
        "ro",
        "hu",
        "tr",
        "id",
        "vi",
    ),
    "cyrillic": ("ru", "uk", "bg"),
    "arabic": ("ar", "fa", "ur"),
    "devanagari": ("hi",),
}
_ONE_LANGUAGE = {"hangul": "ko", "greek": "el", "hebrew": "he", "thai": "th"}


def lexicon(hashes: Callable[[str], int]) -> npt.NDArray[np.uint64]:
    """uint64[1024 or more]: function words in an open-addressed table, by the 64-bit hash that `hashes` gives."""
    masks: dict[int, int] = {}
    for bit, words in enumerate(_FUNCTION_WORDS.values()):
        for word in words.split():
            hashed = hashes(word)
            masks[hashed] = masks.get(hashed, 0) | 1 << bit
    size = 1 << (2 * len(masks)).bit_length()
    table = np.zeros(size, np.uint64)
    for hashed, mask in masks.items():
        slot = hashed & (size - 1)
        while table[slot]:
            slot = (slot + 1) & (size - 1)
        table[slot] = np.uint64((hashed >> 32) << 32 | mask)
    return table


def function_words() -> list[str]:
    """Every function word, for the common vocabulary of the kernel."""
    return sorted({word for words in _FUNCTION_WORDS.values() for word in words.split()})


def guess(
    votes: npt.NDArray[np.int64],
    scripts: npt.NDArray[np.int64],
    script_names: Sequence[str],
    words: npt.NDArray[np.float64],
) -> npt.NDArray[np.str_]:
    """ISO 639-1 code of each document, `und` where there is no evidence.

    Args:
        votes: int64[n, len(LANGUAGES)], function words seen among the first 4,000 words.
        scripts: int64[n, len(script_names)], letters of each script.
        script_names: names of the script columns.
        words: float64[n], words of each document; a language of a shared script needs 4 % of them as function words.
    """
    names = list(script_names)
    density = np.array([2.5 if name in ("han", "kana", "hangul") else 1.0 for name in names])
    weighted = scripts * density
    han, kana = names.index("han"), names.index("kana")
    japanese = (scripts[:, kana] > 0.05 * (scripts[:, han] + scripts[:, kana])) & (scripts[:, kana] > 0)
    weighted[:, han] += weighted[:, kana]
    weighted[:, kana] = 0
    main = weighted.argmax(axis=1)
    result = np.full(len(votes), UNKNOWN, "<U3")
    result[(main == han) & (weighted[:, han] > 0)] = "zh"
    result[(main == han) & japanese] = "ja"
    for name, language in _ONE_LANGUAGE.items():
        result[main == names.index(name)] = language
    enough = np.maximum(2.0, 0.04 * np.minimum(words, 4000.0))
    for name, languages in _BY_SCRIPT.items():
        columns = [LANGUAGES.index(language) for language in languages]
        part = votes[:, columns]
        rows = (main == names.index(name)) & (part.max(axis=1, initial=0) >= enough)
        result[rows] = np.array(languages)[part[rows].argmax(axis=1)] if rows.any() else UNKNOWN
    return result
