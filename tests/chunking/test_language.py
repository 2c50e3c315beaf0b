"""A passage is refused only when it is surely in another language than those wanted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets.chunking.language import identify, in_language

PASSAGES = {
    "en": "The mill stood empty for years. Then a baker bought it, repaired the wheel, and began "
    "to grind flour for the whole valley again.",
    "de": "Die Mühle stand jahrelang leer. Dann kaufte sie ein Bäcker, setzte das Rad instand und "
    "mahlte wieder Mehl für das ganze Tal.",
    "fr": "Le moulin est resté vide pendant des années. Puis un boulanger l'a acheté, a réparé la "
    "roue et s'est remis à moudre la farine de toute la vallée.",
    "es": "El molino estuvo vacío durante años. Luego lo compró un panadero, reparó la rueda y "
    "volvió a moler harina para todo el valle.",
    "it": "Il mulino rimase vuoto per anni. Poi lo comprò un fornaio, riparò la ruota e ricominciò "
    "a macinare farina per tutta la valle.",
    "nl": "De molen stond jarenlang leeg. Toen kocht een bakker hem, herstelde het rad en begon "
    "weer meel te malen voor de hele vallei.",
    "no": "Møllen sto tom i mange år. Så kjøpte en baker den, reparerte hjulet og begynte å male "
    "mel til hele dalen igjen.",
    "pl": "Młyn stał pusty przez wiele lat. Potem kupił go piekarz, naprawił koło i znów zaczął "
    "mleć mąkę dla całej doliny.",
    "tr": "Değirmen yıllarca boş kaldı. Sonra bir fırıncı onu satın aldı, çarkı onardı ve bütün "
    "vadi için yeniden un öğütmeye başladı.",
    "ru": "Мельница много лет стояла пустой. Потом её купил пекарь, починил колесо и снова стал "
    "молоть муку для всей долины.",
    "ar": "ظلت الطاحونة فارغة سنوات طويلة. ثم اشتراها خباز وأصلح العجلة "
    "وعاد يطحن الدقيق للوادي كله.",
    "hi": "चक्की बरसों तक खाली पड़ी रही। फिर एक नानबाई ने उसे खरीदा, "
    "पहिया ठीक किया और पूरी घाटी के लिए फिर से आटा पीसने लगा।",
    "zh": "磨坊空置了许多年。后来一位面包师买下了它，修好了水轮，又开始为整个山谷磨面粉。",
    "ja": "その水車小屋は何年も空き家だった。"
    "やがてパン屋が買い取り、水車を直して、谷じゅうの粉をまた挽き始めた。",
    "ko": "방앗간은 여러 해 동안 비어 있었다. "
    "그러다 제빵사가 그것을 사서 바퀴를 고치고 온 골짜기의 밀가루를 다시 빻기 시작했다.",
}  # fmt: skip


@pytest.mark.parametrize("language", PASSAGES)
def test_a_passage_is_in_its_language_and_surely_in_no_other(language):
    passage = PASSAGES[language]
    assert in_language(passage, {language}) is True
    for other in PASSAGES.keys() - {language}:
        assert in_language(passage, {other}) is False


@pytest.mark.parametrize("language", PASSAGES)
def test_the_likeliest_language_is_named_with_its_lead(language):
    code, lead = identify(PASSAGES[language])
    assert code == language
    assert lead > 0


def test_any_of_the_wanted_languages_will_do():
    assert in_language(PASSAGES["fr"], {"en", "fr"}) is True


@pytest.mark.parametrize("text", ["Taxi!", "Hotel Mozart", "OK, no problem", "Berlin, Paris, Rom"])
def test_a_few_words_have_the_benefit_of_the_doubt(text):
    assert in_language(text, {"en"}) is not False
    assert in_language(text, {"de"}) is not False


@pytest.mark.parametrize("text", ["", " ", "12 34", "???", "\x00", "\ud800"])
def test_nothing_is_said_of_a_text_without_words(text):
    assert in_language(text, {"en"}) is not False


def test_a_mixed_passage_is_in_each_of_its_languages():
    mixed = PASSAGES["de"] * 4 + "\n" + PASSAGES["en"] * 4
    assert in_language(mixed, {"de"}) is True
    assert in_language(mixed, {"en"}) is True
    assert in_language(mixed, {"tr"}) is False


@pytest.mark.parametrize(("written", "other"), [("no", "nb"), ("no", "nn"), ("zh", "yue")])
def test_codes_of_one_written_language_are_one(written, other):
    assert in_language(PASSAGES[written], {other}) is True


def test_a_code_that_is_not_known_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"unknown language 'english'; valid: .*\ben\b"):
        in_language("Some text.", {"english"})


@given(st.text(max_size=1000))
def test_a_text_in_a_language_that_is_wanted_stays_so_when_more_are_wanted(text):
    if in_language(text, {"en"}) is not False:
        assert in_language(text, {"en", "de"}) is not False
