"""Single sentences, in the scripts that mark their ends."""

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets.chunking.sentences import sentence_ends, sentences

# Language, then the sentences of one text with bars between them.
CASES = """
en|Dr. Smith met Mrs. Jones.|It rained.
en|We sell fruit, e.g. apples and pears.|They are cheap.
en|He moved to the U.S. in 1990.|She stayed.
en|She lives in the U.S.|The weather there suits her.
en|The U.S. Army was called.|Nobody came.
en|See No. 5 of the list.|It is short.
en|J. R. R. Tolkien wrote it.|I read it.
en|The price rose by 3.5 percent.|It fell again.
en|Read https://example.org/a.html?x=1.|It helps.
en|Wait... what is that?|Nothing.
en|I was tired...|The night was long.
en|"Why?" she asked.|He did not know.
en|"Go away."|He left at once.
en|He said: "I am late."|Then he ran.
en|The shop opens at 9 a.m. on weekdays.|It closes at 5 p.m.|The owner lives upstairs.
en|Acme Inc. was founded in 1999.|It failed.
en|Is it true?|Yes!|I saw it.
en|Apples, pears, etc. are fruit.|Carrots are not.
en|It was Vol. 3 of the series.|See pp. 12-15 for more.
en|The meeting is on Jan. 5 at noon.|Be there.
en|Smith et al. found no effect.|Others did.
en|(This is a note.)|The text goes on.
en|The file is named data.csv and has 3 columns.|Open it.
en|Version 2.0.1 is out.|Version 3 is near.
en|Yahoo! was a company.|It was sold.
en|He scored 5.|She scored 7.
en|St. Mary's church is old.|Its tower fell.
en|It cost $4.50.|That was too much.
en|Mr. J. Q. Public signed it.|So did I.|Then we left.
en|Ask Prof. Lee vs. the board.|Nobody won.
de|Er kam am 3. Oktober an.|Sie blieb.
de|Das gilt z. B. für Hunde.|Katzen sind frei.
de|Dr. Müller wohnt in Berlin.|Er ist Arzt.
de|Siehe Nr. 7 und Abs. 2 des Gesetzes.|Das reicht.
de|Sie kaufte Brot, Milch usw.|Danach ging sie heim.
de|Der 2. Weltkrieg endete 1945.|Es folgte Frieden.
de|Ca. 20 Leute kamen.|Keiner blieb.
fr|M. Dupont est arrivé.|Il a faim.
fr|Est-ce vrai ?|Oui, bien sûr !|Nous partons.
fr|Mme Curie est née en 1867.|Elle est morte en 1934.
fr|« Viens ! » dit-il.|Elle vint.
es|El Sr. García llegó tarde.|Nadie lo esperaba.
es|¿Dónde estás?|Estoy aquí.|¡Ven!
es|Vive en EE. UU. desde 2001.|Trabaja mucho.
zh|今天天气很好。|我们去公园吧！|你来吗？
zh|“你好。”他说。|她没有回答。
zh|价格是3.5元。|太贵了。
zh|他写了《红楼梦》。|我读过。
ja|今日は晴れです。|散歩に行きましょう。
ja|「行こう。」と彼は言った。|雨が降った。
ja|本当ですか？|はい！|そうです。
ar|ذهب الولد إلى المدرسة.|هل رأيته؟|نعم.
ar|قال د. أحمد إن الدواء مفيد.|شكره المريض.
ur|یہ کتاب ہے۔|وہ قلم ہے۔
hi|यह एक किताब है।|वह कलम है।
hi|डॉ. शर्मा आए।|सब खुश हुए।
ru|А. С. Пушкин родился в Москве.|Он был поэтом.
ru|Это стоит 5 тыс. рублей.|Дорого!
ru|Он живёт на ул. Ленина.|Дом старый.
el|Τι κάνεις;|Είμαι καλά.
hy|Սա գիրք է։|Նա կարդում է։
it|Il dott. Rossi abita a Roma.|È medico.
am|ይህ መጽሐፍ ነው።|እሱ ያነባል።
en|The firm (est. 1904) makes pipes.|It employs 40 people.
en|Turn left at Main St. and stop.|Wait for me.
en|Figure 2. shows nothing of note.|We omit it.
en|“Is it over?” asked Tom.|“Not yet.”|He sighed.
en|The temperature was -3.2 C. at dawn.|Snow fell.
en|Gen. Lee and Lt. Col. Hart spoke.|All listened.
en|Email me at a.b@c.org.|I will answer.
en|He earned a Ph.D. in 1987.|It took years.
en|He earned his Ph.D.|Then he left.
en|Prices rose 2%.|Wages fell 1.5%.
en|Do you like it?!|I do.
en|She works for Brown & Co. in Leeds.|He does too.
en|World War II ended in 1945.|Rebuilding began.
en|The D.C. Circuit ruled on Sept. 4.|An appeal followed.
en|Mix well.|2 cups of flour come next.
en|The rule [see Sec. 3.1(a)] applies.|No exception exists.
en|A vs. B is unclear.|C is not.
de|Das Haus wurde i. d. R. am 1. Mai geöffnet.|Heute nicht.
de|Prof. Dr. Weber sprach um 9.30 Uhr.|Alle klatschten.
de|„Komm her!“, rief sie.|Er kam nicht.
fr|Il habite au no 5.|C'est loin.
fr|J.-P. Martin a parlé.|On l'a applaudi.
es|La Dra. López habló.|Nadie respondió.
es|Véase la pág. 34.|Es breve.
it|Il sig. Bianchi è partito.|Torna domani.
pt|O Sr. Silva chegou.|A Sra. Costa saiu.
zh|他说：“我不去。”|然后他走了。
ja|彼は「はい。」と答えた。|私は驚いた。
ja|価格は1.5万円です！|高いですね。
ar|هذا جيد!|أين الكتاب؟|لا أعرف.
hi|क्या तुम आओगे?|हाँ।
ru|Это было в 1999 г. в Москве.|Он не помнит.
ru|Книги, тетради и т. д. лежали на столе.|Он ушёл.
el|Πού είναι ο κ. Νίκος;|Έφυγε.
""".strip().splitlines()


@pytest.mark.parametrize("case", CASES)
def test_a_text_is_parted_into_its_sentences(case):
    language, *expected = case.split("|")
    text = ("" if language in ("zh", "ja") else " ").join(expected)
    assert [text[start:end] for start, end in sentences(text)] == expected


def found(text, headings=()):
    return [text[start:end] for start, end in sentences(text, headings)]


def test_lines_broken_at_a_width_go_on_in_the_next_line():
    text = "The heron stood by the river, which Mr.\nSmith had left that morning. It did not\nmove."
    assert found(text) == [
        "The heron stood by the river, which Mr.\nSmith had left that morning.",
        "It did not\nmove.",
    ]


def test_a_line_that_had_room_for_the_next_word_was_ended_on_purpose():
    assert found("Name: Jane\nHome: by the river, in a house of stone. It is old.") == [
        "Home: by the river, in a house of stone.",
        "It is old.",
    ]


def test_headings_are_no_sentences_whether_marked_or_given():
    assert found("# Is it true?\n\nIt is.\n\nWhy so?\nNobody knows.", [(23, 1)]) == [
        "It is.",
        "Nobody knows.",
    ]


def test_rows_of_a_table_are_no_sentences():
    assert found("| One. | Two. |\n|---|---|\n| Three. | Four. |\n\nA\tB.\n\nAfter it.") == [
        "After it."
    ]


def test_list_items_are_sentences_without_their_mark_when_they_end_as_one():
    assert found("- Buy milk.\n- bread\n1. Open the door. Go in.\n(b) leave") == [
        "Buy milk.",
        "Open the door.",
        "Go in.",
    ]


def test_what_has_no_end_or_no_letters_is_no_sentence():
    assert found("It ends. This does not") == ["It ends."]
    assert found("12.5 . 7!\n\n...") == []


def test_lines_of_thai_count_as_sentences():
    assert found("นี่คือหนังสือ\n\nฉันอ่านมัน") == ["นี่คือหนังสือ", "ฉันอ่านมัน"]


TEXTS = st.text(
    st.one_of(st.sampled_from(list("aB .!?\n\t|-#1;。”\"'»(…")), st.characters(codec="utf-8")),
    max_size=200,
)


@given(TEXTS)
def test_sentences_lie_in_order_apart_and_without_white_space_around_them(text):
    spans = sentences(text)
    assert all(start < end for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)


@given(TEXTS, st.integers(0, 200), st.integers(0, 200))
def test_ends_found_in_a_stretch_lie_within_it(text, one, other):
    start, end = sorted((min(one, len(text)), min(other, len(text))))
    ends = list(sentence_ends(text, start, end))
    assert ends == sorted(set(ends))
    assert all(start < place < end for place in ends)


@pytest.mark.parametrize("part", [".", ". ", "x. ", '."', ". »", "\n", " ", "a|", "1\n", "?!"])
def test_a_long_row_of_marks_is_gone_through_once(part):
    assert len(sentences(part * 100_000)) <= 100_000
