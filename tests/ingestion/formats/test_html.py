"""A page gives what its author wrote, whole and in order, without the menus around it."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets.ingestion.formats.extracted import Refused
from bonito_assets.ingestion.formats.html import read

PROSE = "The miller opened the sluice, and the water ran down to the fields behind the village."


def page(body, head="<title>Mill</title>"):
    return f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>".encode()


def text(body):
    return read(page(body)).text


def test_paragraphs_are_set_apart_and_inline_tags_put_no_space_where_none_is():
    body = "<p>One <b>two</b>three,\n <i>four</i>.</p><div>Five&nbsp;<code>six</code></div>"
    assert text(body) == "One twothree, four.\n\nFive six"


def test_line_breaks_stay_and_two_of_them_part_paragraphs():
    assert text("A river<br>a wall<br><br/>A mill") == "A river\na wall\n\nA mill"


def test_headings_carry_their_offset_and_depth():
    found = read(page(f"<h1>The <i>weir</i></h1><p>{PROSE}</p><h3>Nests</h3><p>None.</p>"))
    assert [(found.text[start:].split("\n")[0], level) for start, level in found.headings] == [
        ("The weir", 1),
        ("Nests", 3),
    ]


def test_items_of_lists_begin_with_a_dash_or_their_number_one_to_a_line():
    body = "<p>Do:</p><ul><li>one<ul><li>inner</li></ul></li><li><p>two</p></li></ul><p>End</p>"
    assert text(body) == "Do:\n\n- one\n- inner\n- two\n\nEnd"
    assert text("<ol start=3><li>a<li>b<li value=9>c</ol>") == "3. a\n4. b\n9. c"
    assert text("<ol type=A><li>a<li>b</ol>") == "A. a\nB. b"
    assert text("<ol type=i reversed><li>a<li>b</ol>") == "ii. a\ni. b"


def test_a_definition_stands_under_its_term():
    assert text("<dl><dt>Weir<dd>A low dam.<dt>Sluice<dd>A gate.</dl>") == (
        "Weir\nA low dam.\n\nSluice\nA gate."
    )


def test_cells_are_parted_by_bars_and_spanning_cells_are_shown_once():
    body = """<table><caption>Nests</caption><tr><th>Year<th>Place<th>Nests
    <tr><td rowspan=2>2024<td>mill<td>3<tr><td>weir<td>4<tr><td colspan=2>all<td>7</table>"""
    assert text(body) == "Nests\n\nYear | Place | Nests\n2024 | mill | 3\n| weir | 4\nall | 7"


def test_a_table_that_only_places_blocks_is_no_table():
    body = f"<table><tr><td><h2>Mill</h2><td><p>{PROSE}</p><p>Then he left.</p></table>"
    assert text(body) == f"Mill\n\n{PROSE}\n\nThen he left."


def test_code_keeps_its_lines_and_indentation():
    assert text("<p>So:</p><pre>\nif a:\n    b &lt; c\n\n</pre><p>End</p>") == (
        "So:\n\nif a:\n    b < c\n\nEnd"
    )


def test_powers_indices_and_quotations_read_as_they_show():
    body = "10<sup>6</sup> of H<sub>2</sub>O, the 2<sup>nd</sup> <q>mill</q>"
    assert text(body) == "10⁶ of H₂O, the 2nd “mill”"


def test_what_no_one_sees_is_left_out():
    body = """<p>Seen</p><script>no()</script><style>no</style><noscript>no</noscript>
    <template>no</template><p hidden>no</p><p style="display: none">no</p><!-- no -->
    <span class="sr-only">no</span><select><option>no</select><ruby>水<rt>no</rt></ruby>"""
    assert text(body) == "Seen\n\n水"


AROUND = """<header><a href=/>Mill</a> <a href=/news>News</a></header>
<nav><ul><li><a href=/a>Menu A</a><li><a href=/b>Menu B</a></ul></nav>
<div class="breadcrumb">You are here</div>
<div id=path><a href=/>Home</a> &gt; <a href=/x>Xs</a></div>
<p><span>Other languages: </span><a href=de>de</a> | <a href=fr>fr</a></p>"""
BELOW = """<div class="social-share">Tell your friends</div><aside>Read also</aside>
<footer>Copyright</footer>"""


def test_menus_around_the_text_are_left_out():
    body = f"{AROUND}<h1>Weir <a href=#w>¶</a></h1><p>{PROSE}</p><p>{PROSE}</p>{BELOW}"
    assert text(body) == f"Weir\n\n{PROSE}\n\n{PROSE}"


def test_a_contents_list_goes_with_its_heading():
    contents = "<h2>Topics</h2><ul><li><a href=#a>Nests</a><li><a href=#b>Fish</a></ul>"
    assert text(f"<h1>Weir</h1>{contents}<h2>Nests</h2><p>{PROSE}</p>") == (
        f"Weir\n\nNests\n\n{PROSE}"
    )


def test_links_within_text_are_text():
    linked = PROSE.replace("sluice", "<a href=/s>sluice</a>")
    items = "<ul><li><a href=/a>Nests</a>, which are many</ul>"
    body = f"<p>{linked}</p>{items}<p>See <a href=/b>b</a>.</p>"
    assert text(body) == f"{PROSE}\n\n- Nests, which are many\n\nSee b."


def test_the_part_that_is_marked_as_the_text_is_taken():
    body = f"<div><p>Welcome to our site.</p></div><main><p>{PROSE}</p></main><div>Call us</div>"
    assert text(body) == PROSE


def test_no_name_of_a_class_takes_away_most_of_a_page():
    assert text(f'<div class="sidebar content"><p>{PROSE}</p></div>') == PROSE


def test_the_id_of_a_chapter_or_an_anchor_is_no_sign_of_a_menu():
    chapter = "<section id=navigation><h2>Navigation</h2><p>By the stars.</p></section>"
    anchor = "<h2><a id=comments>Comments</a></h2><p>None.</p>"
    assert text(f"<p>{PROSE}</p>{chapter}{anchor}") == (
        f"{PROSE}\n\nNavigation\n\nBy the stars.\n\nComments\n\nNone."
    )


def test_a_page_of_links_gives_its_links():
    links = "".join(f"<li><a href=/{n}>The chapter number {n}</a></li>" for n in range(1, 9))
    assert text(f"<h1>Book</h1><ul>{links}</ul>").startswith("Book\n\n- The chapter number 1\n- ")


def test_a_short_page_gives_what_it_shows():
    assert text("<div class=menu>Closed today</div>") == "Closed today"


def test_unclosed_tags_lose_no_text():
    assert text(f"<p>{PROSE}<p>Two<div><b><i>three<table><tr><td>four") == (
        f"{PROSE}\n\nTwo\n\nthree\n\nfour"
    )


def test_a_page_without_visible_text_is_empty():
    for content in (page("<script>var x = 1</script>"), b"", b"<html>", page("<p> &nbsp; </p>")):
        with pytest.raises(Refused) as refused:
            read(content)
        assert refused.value.code == "empty"


def test_the_title_is_the_heading_of_the_page_else_what_its_head_says():
    og = "<meta property='og:title' content='The weir'><title>Site</title>"
    assert read(page("<h1>Weir</h1><p>Text", og)).title == "Weir"
    assert read(page("<p>Text", og)).title == "The weir"
    assert read(page("<p>Text", "<title>\n My  site </title>")).title == "My site"
    assert read(page("<p>Text", "")).title is None


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("<link rel=license href='https://l.example/by'>", ""),
        ("", "<footer><a rel='nofollow license' href='https://l.example/by'>L</a></footer>"),
        ("<meta name='DC.rights' content='https://l.example/by'>", ""),
        ("<meta name='dcterms.license' content='https://l.example/by'>", ""),
    ],
)
def test_a_licence_that_the_page_states_is_kept(head, body):
    assert read(page(f"<p>{PROSE}</p>{body}", head)).license == "https://l.example/by"


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("ISO-8859-1", "cp1252"),
        ("euc-kr", "cp949"),
        ("gb2312", "gb18030"),
        ("KOI8-R", "koi8-r"),
        ("iso-8859-5", "iso-8859-5"),
        ("utf-8", "cp1252"),  # the page is wrong about itself
        ("no-such-charset", "cp1252"),
        ("iso-8859-1", "utf-8"),
        ("koi8-r", "utf-16"),
    ],
)
def test_characters_come_out_right_whatever_the_page_declares(declared, encoding):
    words = {
        "cp1252": "Der Müller – öffnet „früh“ die Schütze.",
        "cp949": "방앗간 주인이 수문을 열었다.",
        "gb18030": "磨坊主打开了水闸。",
        "koi8-r": "Мельник открыл шлюз.",
        "iso-8859-5": "Мельник открыл шлюз.",
        "utf-8": "Der Müller 水 Мельник",
        "utf-16": "Der Müller 水 Мельник",
    }[encoding]
    source = f"<meta charset='{declared}'><p>{words}</p>"
    assert read(source.encode(encoding)).text == words


def test_xhtml_is_read_as_what_it_is():
    source = """<?xml version="1.0" encoding="UTF-8"?>
    <!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://www.w3.org/TR/xhtml11.dtd">
    <html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="a.js"/></head>
    <body><p>Caf&eacute;&nbsp;<i/>open</p></body></html>"""
    assert read(source.encode()).text == "Café open"
    assert read(source.replace("</p>", "").encode()).title is None


def test_entities_are_neither_fetched_nor_expanded(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    source = f"""<?xml version="1.0"?><!DOCTYPE html [<!ENTITY e0 "bomb">{bomb}
    <!ENTITY file SYSTEM "{secret.as_uri()}">]>
    <html xmlns="http://www.w3.org/1999/xhtml"><body><p>A mill &file; &e11;</p></body></html>"""
    found = read(source.encode()).text
    assert "A mill" in found
    assert "SECRET" not in found
    assert len(found) < 1000


def test_tags_within_tags_without_end_are_refused():
    with pytest.raises(Refused) as refused:
        read(b"<div>" * 100_000 + PROSE.encode())
    assert refused.value.code == "unreadable"
    assert read(b"<font>" * 1_500 + PROSE.encode()).text == PROSE


TAGS = "p b ul li ol table tr td th pre h1 h2 a sup q dl dt dd br nav div main".split()


@given(
    st.lists(
        st.one_of(
            st.sampled_from([f"<{t}>" for t in TAGS] + [f"</{t}>" for t in TAGS]),
            st.text('abc \n&<>"水', max_size=8),
        ),
        max_size=40,
    )
)
def test_nothing_but_a_refusal_comes_of_any_tags_and_headings_begin_lines(pieces):
    try:
        found = read(page("".join(pieces)))
    except Refused as refused:
        assert refused.code == "empty"
        return
    assert found.text.strip()
    for start, level in found.headings:
        assert 1 <= level <= 6
        assert start == 0 or found.text[start - 2 : start] == "\n\n"


@given(st.lists(st.sampled_from(["mill", "weir", "nest", "fish"]), min_size=1, max_size=30))
def test_every_word_of_running_text_is_kept_once_and_in_order(words):
    body = "".join(f"<p><i>{word}</i> ran.</p>" for word in words)
    assert text(body).split() == [piece for word in words for piece in (word, "ran.")]
