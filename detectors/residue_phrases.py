"""Phrases that chat assistants leave behind in text, by language: the table that `residue` searches with.

Notation: a space stands for any run of white space, `'` for a straight or curly apostrophe, letters match in either
case. But for white space, a phrase is of bounded length. The rest is the common subset of RE2 and Python `re` without
capturing groups, classes of non-ASCII characters, `\\w` or look-around, because the table is compiled for bytes.
"""

from __future__ import annotations

__all__ = ["STRONG", "WEAK"]

_MAKERS = r"(?:openai|anthropic|google|meta|deepseek|mistral|alibaba|microsoft|xai|moonshot)"
_NAMES = r"(?:chatgpt|gpt-[345]|claude|gemini|llama|deepseek|mistral|qwen|grok|copilot|bard)"

STRONG: dict[str, tuple[str, ...]] = {
    "en.as_an_ai": (
        r"\bas an ai(?:-powered| powered|-based| based)? language model",
        r"\bas an (?:ai|artificial intelligence)(?: language)?(?: model| assistant| chatbot| system)?,? "
        r"(?:i(?:'m| am| do| don't| cannot| can't| have| lack| was|'ve)\b|my (?:training|knowledge|responses?)\b)",
        r"\bas a (?:large )?language model,? (?:i|my)\b",
    ),
    "en.i_am_an_ai": (
        r"\bi(?:'m| am) (?:just |only |simply |merely )?an ai (?:language model|assistant|chatbot|model)\b",
        r"\bi(?:'m| am) (?:just |only |simply |merely )?a (?:large )?language model\b",
        rf"\bi(?:'m| am) {_NAMES},? (?:an?|your) (?:ai|artificial|large|language|helpful)\b",
        rf"\bi (?:was|am|have been) (?:created|trained|developed|made|built) by {_MAKERS}\b",
    ),
    "en.knowledge_cutoff": (
        r"\bas of my (?:last |latest |most recent |current )?(?:knowledge |training |data ){1,4}(?:update|cut-?off)",
        r"\bas of my (?:last |latest |most recent )?cut-?off",
        r"\bmy (?:last|latest|most recent) (?:knowledge|training) (?:update|cut-?off)",
        r"\bmy (?:knowledge|training(?: data)?)(?: was last updated| cut-?off| only goes| only extends| goes up to)\b",
    ),
    "en.refusal": (
        r"\bi(?:'m unable to| am unable to| cannot| can't) "
        r"(?:fulfill?|comply with|assist (?:you )?with|help (?:you )?with) (?:this|that) (?:\S{1,20} )?request\b",
        r"\bi(?:'m| am) sorry,? but i(?:'m unable to| am unable to| cannot| can't) "
        r"(?:fulfill?|comply with|assist (?:you )?with|help (?:you )?with) "
        r"(?:(?:this|that|your) (?:\S{1,20} )?request|that)\b",
        r"\bi cannot (?:generate|create|provide|produce) (?:content|explicit content|harmful content) that\b",
    ),
    "any.tool_citation": (
        r"contentreference\[oaicite:",
        r"\boaicite:\d",
        r"\bturn\d{1,2}(?:search|view|news|image)\d{1,2}\b",
    ),
    "zh.self": (
        r"作为(?:一个|一名|一款|一种)?(?:大型)?(?:AI|人工智能)?(?: )?(?:大)?语言模型(?:,|,)?我",
        r"作为(?:一个|一名|一款|一种)?(?:AI|人工智能)(?: )?(?:模型|助手|助理|程序)(?:,|,)?我",
        r"我(?:只)?是(?:一个|一名|一款)(?:大型)?(?:AI|人工智能|基于人工智能的)?(?: )?(?:大)?语言模型",
        r"我是(?:一个|一名)?由(?:OpenAI|Anthropic|阿里云|百度|深度求索|谷歌|字节跳动|智谱|月之暗面|DeepSeek)",
        r"作為(?:一個|一名)?(?:AI|人工智慧|人工智能)(?: )?(?:語言)?(?:模型|助手|助理)(?:,|,)?我",
        r"我(?:只)?是(?:一個|一名)(?:大型)?(?:AI|人工智慧)?(?: )?語言模型",
    ),
    "zh.knowledge_cutoff": (
        r"截(?:至|止)(?:到)?我(?:的)?(?:最后|上次|最近|最新)(?:一次)?(?:的)?(?:知识|训练|数据)?(?:的)?更新",
        r"我的(?:知识|训练数据)(?:库)?(?:只)?(?:截止|截至|更新到|更新至)",
    ),
    "zh.refusal": (r"(?:抱歉|对不起)(?:,|,)我(?:无法|不能)(?:满足|协助|完成|回应)(?:您|你)的?(?:这个|该)?请求",),
    "ja.self": (
        r"(?:AI|人工知能)(?:言語モデル|アシスタント)(?:として、?私|である私|ですので、|なので、)",
        r"言語モデル(?:として、?私|である私|なので、私)",
        r"私は(?:、)?(?:大規模)?(?:AI|人工知能)?(?:の)?(?:大規模)?言語モデル(?:です|であり|なので|として)",
        r"私の(?:知識|学習データ)(?:は|の)(?:最終更新|カットオフ|\d{4}年)",
        r"(?:その|この)リクエストに(?:は)?お応えすることはできません",
    ),
    "ko.self": (
        r"(?:AI|인공지능|인공 지능) ?언어 ?모델(?:로서|이기 때문에|이므로),? ?(?:저는|제가|저의|나는)",
        r"(?:AI|인공지능) (?:어시스턴트|비서|모델)(?:로서|이기 때문에),? ?(?:저는|제가|나는)",
        r"저는 (?:대규모 |거대 )?(?:AI )?언어 ?모델(?:로|이|입)",
        r"제 (?:마지막 )?지식 (?:업데이트|컷오프)",
        r"제 지식은 \d{4}년",
    ),
    "ru.self": (
        r"как (?:большая |искусственная )?(?:языковая модель|модель ии|ии-модель|ии-ассистент)(?: ии)?,? "
        r"(?:я |у меня|мне )",
        r"как (?:искусственный интеллект|ии),? я (?:не|могу)",
        r"(?:^| )я (?:—|–|-|всего лишь|являюсь|просто|лишь){1,4} ?(?:большая |большой )?языков(?:ая|ой) модель",
        r"(?:на момент|по состоянию на) (?:моего )?последне(?:го|е) обновлени(?:я|е) (?:моих |базы )?знаний",
    ),
    "uk.self": (
        r"як (?:велика )?(?:мовна модель|модель ші|ші-модель|ші-асистент)(?: ші)?,? (?:я |у мене|мені )",
        r"як штучний інтелект,? я (?:не|можу)",
        r"(?:^| )я (?:—|–|-|є|лише|просто){1,4} ?(?:велик(?:а|ою) )?мовн(?:а|ою) модел",
        r"на момент мого останнього оновлення (?:знань|бази)",
    ),
    "de.self": (
        r"\bals (?:ein |eine )?(?:großes )?(?:ki|ai)(?:-| )?(?:sprachmodell|modell|assistent(?:in)?),? "
        r"(?:kann|habe|bin|verfüge|besitze|möchte|darf|muss) ich\b",
        r"\bals (?:großes )?sprachmodell,? (?:kann|habe|bin|verfüge|besitze|darf) ich\b",
        r"\bich bin (?:nur |lediglich )?eine? (?:großes )?(?:ki-|ai-)?(?:sprachmodell|ki-modell|ki-assistent)",
        r"\bmein(?:e|em|er|es)? letzte[mnrs]? (?:wissens(?:stand|update|aktualisierung)|trainingsupdate)",
        r"\bich kann diese anfrage (?:leider )?nicht erfüllen",
    ),
    "fr.self": (
        r"\ben tant qu(?:e |'une? |')(?:grand )?(?:modèle (?:de langage|de langue|linguistique|d'ia)|assistant)"
        r"(?: ia| d'ia| virtuel| basé sur l'ia)?,? j(?:e|')",
        r"\ben tant qu(?:e |')(?:ia|intelligence artificielle),? je (?:ne|n'|suis|peux)",
        r"\bje (?:ne )?suis (?:qu')?un (?:grand )?(?:modèle de langage|assistant ia\b)",
        r"\bma dernière mise à jour (?:de|des) (?:mes )?connaissances",
        r"\bje ne (?:peux|suis) pas (?:en mesure de )?(?:répondre à|satisfaire|accéder à) cette demande",
    ),
    "es.self": (
        r"\bcomo (?:un )?(?:gran )?modelo de (?:lenguaje|ia)(?: de ia| de inteligencia artificial)?,? "
        r"(?:no (?:tengo|puedo|estoy|soy)|yo |mi |puedo|tengo|estoy|soy)",
        r"\bcomo (?:una )?(?:ia|inteligencia artificial|asistente de ia),? (?:no (?:tengo|puedo)|yo |puedo)",
        r"\bsoy (?:solo |sólo )?un (?:gran )?(?:modelo de lenguaje|asistente de ia)\b",
        r"\bmi última actualización de conocimientos?",
        r"\bno puedo (?:cumplir(?: con)?|satisfacer|ayudar(?:te|le)? con) (?:esa|esta) solicitud",
    ),
    "pt.self": (
        r"\bcomo (?:um )?(?:grande )?modelo de (?:linguagem|ia)(?: de ia| de inteligência artificial)?,? "
        r"(?:não (?:tenho|posso|sou)|eu |posso|tenho|minha )",
        r"\bcomo (?:uma )?(?:ia|inteligência artificial|assistente de ia),? (?:não (?:tenho|posso)|eu )",
        r"\bsou (?:apenas |só )?um (?:grande )?(?:modelo de linguagem|assistente de ia)\b",
        r"\bminha última atualização de conhecimento",
        r"\bnão posso (?:atender|ajudar com) (?:a |à )?(?:essa|esta) solicitação",
    ),
    "it.self": (
        r"\b(?:in quanto|come|essendo) (?:un )?(?:grande )?modello (?:linguistico|di linguaggio|di ia)"
        r"(?: di (?:ia|intelligenza artificiale)| basato sull'ia)?,? (?:non (?:ho|posso|sono)|io |posso|sono|ho )",
        r"\b(?:in quanto|come) (?:ia|intelligenza artificiale|assistente ia),? (?:non (?:ho|posso)|io )",
        r"\bsono (?:solo )?un (?:grande )?(?:modello linguistico|assistente ia)\b",
        r"\bmio ultimo aggiornamento delle conoscenze",
    ),
    "nl.self": (
        r"\bals (?:een )?(?:groot )?(?:ai|ki)(?:-| )?(?:taalmodel|model|assistent),? (?:heb|kan|ben|beschik) ik\b",
        r"\bals (?:een )?(?:groot )?taalmodel,? (?:heb|kan|ben|beschik) ik\b",
        r"\bik ben (?:slechts |maar )?een (?:groot )?(?:ai-|ai )?(?:taalmodel|ai-assistent)\b",
        r"\bmijn laatste kennisupdate",
    ),
    "pl.self": (
        r"\bjako (?:duży )?(?:model językowy|model ai|model sztucznej inteligencji|asystent ai),? "
        r"(?:nie (?:mam|mogę|jestem|posiadam)|mogę|mam|jestem)",
        r"\bjako sztuczna inteligencja,? nie (?:mam|mogę|jestem|posiadam)",
        r"\bjestem (?:tylko )?(?:dużym )?(?:modelem językowym|asystentem ai)\b",
        r"\bmojej ostatniej aktualizacji wiedzy",
    ),
    "tr.self": (
        r"\bbir (?:(?:yapay zeka|yapay zekâ|ai) )?(?:dil )?(?:modeli|asistanı) olarak,? (?:ben|benim|kişisel|size)\b",
        r"\bben (?:sadece )?bir (?:yapay zeka |yapay zekâ )?dil modeliyim",
        r"\bson bilgi güncellemem",
    ),
    "ar.self": (
        r"(?:بصفتي|كوني|باعتباري|بوصفي) نموذج(?:ا|ًا|اً)? (?:لغوي|لغة|ذكاء|للذكاء)",
        r"(?:بصفتي|كوني|باعتباري|بوصفي) مساعد(?:ا|ًا|اً)? (?:ذكي|افتراضي|يعمل)",
        r"كنموذج (?:لغوي|لغة|ذكاء اصطناعي)",
        r"أنا (?:مجرد )?نموذج (?:لغوي|لغة|ذكاء اصطناعي)",
        r"آخر تحديث (?:لمعرفتي|لمعلوماتي|لبياناتي)",
    ),
    "hi.self": (
        r"एक (?:बड़े )?(?:एआई|ai|कृत्रिम बुद्धिमत्ता)(?: |-)(?:भाषा )?(?:मॉडल|सहायक|असिस्टेंट) के रूप में",
        r"एक भाषा मॉडल के रूप में,? (?:मैं|मेरे|मुझे)",
        r"मैं (?:केवल |सिर्फ )?एक (?:बड़ा )?(?:एआई |ai )?(?:भाषा मॉडल|एआई मॉडल|ai मॉडल)",
        r"मेरे (?:अंतिम|आखिरी|पिछले) (?:ज्ञान|प्रशिक्षण) (?:अपडेट|अद्यतन)",
    ),
    "id.self": (
        r"\bsebagai (?:sebuah )?(?:model bahasa(?: besar| ai)?|model ai|asisten ai|ai),? saya\b",
        r"\bsaya (?:hanya |hanyalah )?(?:adalah )?(?:sebuah )?model bahasa\b",
        r"\bpembaruan pengetahuan terakhir saya",
    ),
    "vi.self": (
        r"\blà (?:một )?(?:mô hình ngôn ngữ|trợ lý ai|mô hình ai)[^.\n]{0,40}, tôi\b",
        r"\btôi (?:chỉ )?là (?:một )?(?:mô hình ngôn ngữ|trợ lý ai|mô hình ai)",
        r"cập nhật kiến thức (?:cuối cùng|gần nhất|gần đây nhất) của tôi",
    ),
}
"""Self-identification as a model, a knowledge cut-off, a templated refusal, a leaked citation token, by phrase id."""

WEAK: dict[str, tuple[str, ...]] = {
    "en.lead_in": (
        r"\b(?:certainly|sure|absolutely|of course)! (?:here(?:'s| is| are)|i(?:'d| would) be (?:happy|glad))",
        r"\b(?:certainly|sure|absolutely),? here(?:'s| is) (?:a|an|the|your) "
        r"(?:revised|rewritten|possible|sample|draft|brief|short|detailed|step-by-step)\b",
        r"\bi(?:'d| would) be (?:happy|glad) to (?:help|assist)(?: you)?[!.] (?:here|please|could)",
        r"\bgreat question! ",
    ),
    "en.sign_off": (
        r"\bi hope (?:this|that) (?:helps|is helpful)[!.] (?:let me know|if you|please|feel free)",
        r"\blet me know if you(?:'d like| would like| want| need) (?:me to|any (?:further|more|additional|other))\b",
        r"\bfeel free to (?:ask|let me know) if you (?:have|need) (?:any )?(?:more|further|other|additional)\b",
        r"\bis there anything (?:else|specific) (?:you(?:'d| would) like|i can (?:help|assist))",
        r"\bas of my (?:last|latest|most recent) update\b",
    ),
    "en.placeholder": (r"\[(?:your name|insert [a-z\x20]{3,30}|company name|recipient's name)\]",),
    "any.referrer": (r"\butm_source=chatgpt\.com\b",),
    "zh.lead_in": (
        r"当然(?:可以)?(?:!|!)(?:以下|这是|这里)",
        r"希望(?:这些|这个|以上)(?:信息|建议|回答|内容)?(?:能)?对(?:您|你)有(?:所)?帮助",
    ),
    "ja.lead_in": (r"もちろんです(?:!|!|。)(?:以下|こちら)",),
    "ko.lead_in": (r"물론(?:입니다|이죠|이에요)(?:!|\.) ?(?:다음|아래|여기)",),
    "ru.lead_in": (r"конечно! вот ", r"надеюсь, это поможет! (?:если|дайте)"),
    "uk.lead_in": (r"звичайно! ось ", r"сподіваюся, це допоможе! "),
    "de.lead_in": (r"\b(?:natürlich|gerne|selbstverständlich)! hier (?:ist|sind)\b", r"\bich hoffe, das hilft! "),
    "fr.lead_in": (r"\b(?:bien sûr|certainement) ?! voici\b", r"\bj'espère que cela (?:vous |t')?aide(?:ra)? ?! "),
    "es.lead_in": (
        r"(?:claro|por supuesto|desde luego)! aquí (?:tienes|está|te)",
        r"espero que esto te (?:ayude|sea útil)! ",
    ),
    "pt.lead_in": (r"\b(?:claro|com certeza)! aqui (?:est|vai|tem)", r"\bespero que isso ajude! "),
    "it.lead_in": (
        r"\b(?:certo|certamente|ecco)! (?:ecco|di seguito)\b",
        r"\bspero che questo (?:ti|vi) (?:sia|aiuti)",
    ),
    "nl.lead_in": (r"\b(?:natuurlijk|zeker)! hier (?:is|zijn)\b", r"\bik hoop dat dit helpt! "),
    "pl.lead_in": (r"\b(?:oczywiście|jasne)! oto\b", r"\bmam nadzieję, że to pomoże! "),
    "tr.lead_in": (r"\b(?:elbette|tabii ki|tabii)! (?:işte|aşağıda)",),
    "ar.lead_in": (r"(?:بالتأكيد|بالطبع|بكل سرور)(?:!|،) (?:إليك|إليكم|فيما يلي)",),
    "hi.lead_in": (r"(?:ज़रूर|बिल्कुल|निश्चित रूप से)! (?:यहाँ|यहां|यह|नीचे)",),
    "id.lead_in": (r"\b(?:tentu(?: saja)?|baik)! berikut\b", r"\bsemoga (?:ini )?membantu! (?:jika|jangan)"),
    "vi.lead_in": (r"\b(?:chắc chắn rồi|tất nhiên(?: rồi)?)! (?:dưới đây|đây)",),
}
"""Lead-ins, sign-offs, placeholders: usual for an assistant, found in human help forums too, so never a rule alone."""
