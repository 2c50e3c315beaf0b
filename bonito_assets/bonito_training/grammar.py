"""Invented passages in plain English from a small grammar: nothing to download, no two alike.

A passage is one opening sentence and one to four further sentences of one kind (a help page, a
contract clause, a clinic note...). Braces in a pattern name a slot; a slot that stands more than
once in a passage keeps its value, except the numbers, which are drawn each time.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

NUMBER_WORDS = (
    "two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty"
).split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()
FIRST_NAMES = (
    "Anna Ben Carla David Elena Felix Grace Hugo Ida Jonas Karim Lena Marta Nora Oscar Petra Rosa "
    "Samuel Tessa Victor Amina Bruno Clara Dario Edith Farid Greta Hannah Irene Julia Kofi Lucas "
    "Mina Nadia Omar Paula Ravi Sofia Tomas Yusuf Alice Peter Helen George Ruth Simon Agnes"
).split()
_SYLLABLES = (
    "ba ber bren cal cor dal den el fen gar hal har kel lan lin lor mar mel mor nar nor os pel "
    "quin ral ren ros sel sten tal tam tor ul val ver wen wick win yar zel"
).split()
_NAME_ENDS = (
    "ton ley ford well man son berg field sen mere dale wick ham by ga ri no ska ler ner"
).split()


def _listed(values: str) -> list[str]:
    return values.split(", ")


_SLOTS: dict[str, list[str]] = {
    "day": DAYS,
    "month": MONTHS,
    "time": _listed(
        "8 am, 9 am, 10 am, noon, 1 pm, 4 pm, 5 pm, 6 pm, 7 in the morning, 8 in the "
        "evening, half past nine, midnight"
    ),
    "season": _listed("spring, summer, autumn, winter"),
    "unit": _listed("days, weeks, months, years, hours, minutes"),
    "colour": _listed("red, blue, green, yellow, white, black, grey, brown, silver"),
    "job": _listed(
        "manager, nurse, teacher, baker, engineer, guide, clerk, gardener, driver, "
        "captain, cook, keeper, librarian, painter"
    ),
    "building": _listed(
        "museum, library, bakery, school, clinic, town hall, station, theatre, market "
        "hall, workshop, mill, lighthouse, swimming pool"
    ),
    "food": _listed(
        "bread, soup, pea soup, apple cake, cheese, fish stew, rice pudding, potato "
        "salad, barley bread, plum jam, oat porridge, bean stew"
    ),
    "ingredient": _listed(
        "flour, butter, salt, honey, onions, carrots, lentils, milk, olive oil, garlic, "
        "sugar, yeast, mustard, rice, tomatoes"
    ),
    "animal": _listed(
        "heron, otter, fox, kingfisher, badger, hare, swan, bat, toad, beaver, deer, "
        "wren, owl, pike, lizard, crane, seal, hedgehog"
    ),
    "plant": _listed(
        "moss, fern, oak, willow, nettle, birch, reed, orchid, heather, pine, clover, "
        "ivy, water lily, hazel"
    ),
    "habitat": _listed(
        "shallow water, old woods, wet meadows, deep soil, stone walls, mountain "
        "streams, dry grass, hollow trees, salt marshes, quiet ponds"
    ),
    "prey": _listed("fish, frogs, beetles, worms, snails, mice, berries, seeds, moths"),
    "device": _listed(
        "router, printer, phone, tablet, camera, thermostat, keyboard, headset, screen, "
        "scanner, watch, speaker"
    ),
    "data": _listed(
        "email address, home address, phone number, date of birth, payment details, "
        "location, order history, profile picture, account name, search history"
    ),
    "party": _listed(
        "Client, Supplier, Contractor, Tenant, Landlord, Licensee, Buyer, Seller, Agency, Company"
    ),
    "illness": _listed(
        "back pain, a cough, a sore throat, knee pain, a skin rash, headaches, a high "
        "fever, chest pain, poor sleep, a broken wrist, low blood pressure"
    ),
    "medicine": _listed(
        "paracetamol, ibuprofen, an iron tablet, a nasal spray, an ointment, vitamin D, "
        "an antibiotic, a cough syrup"
    ),
    "object": _listed(
        "clock, helmet, lamp, map, anchor, coin, loom, bell, painting, letter, boat, "
        "telescope, drum, violin, ship model"
    ),
    "material": _listed("oak, brass, iron, glass, copper, wool, leather, paper, clay"),
    "vehicle": _listed("bus, tram, ferry, train, night bus, cable car"),
    "sport": _listed("football, rowing, chess, swimming, cycling, hockey, tennis"),
    "subject": _listed("history, music, biology, drawing, geography, mathematics"),
    "good": _listed("friendly, excellent, wonderful, delicious, comfortable, helpful, lovely"),
    "bad": _listed("rude, terrible, disappointing, broken, dirty, awful, noisy"),
    "bigthing": _listed("bridge, tower, harbour wall, barn, chapel, greenhouse, dam"),
}

# topic -> (opening sentences, further sentences)
_KINDS: dict[str, tuple[list[str], list[str]]] = {
    "privacy": (
        [
            "{org} collects your {data} when you open an account.",
            "We store your {data} for {n} {unit} after you close your account.",
            "The {org} app asks for your {data} only once.",
            "Our servers stand in {place} and are locked day and night.",
            "This page explains how {org} uses your {data}.",
        ],
        [
            "We never sell your {data} to other companies.",
            "You can delete your {data} at any time in the settings.",
            "We keep a copy for {n} {unit} and then erase it.",
            "Only {n} members of our staff can see your {data}.",
            "Children under {age} may not open an account without a parent.",
            "If you write to us, we answer within {n} days.",
            "Write to {first} {last}, who is our privacy officer.",
            "We share your {data} with {org2}, which sends the parcels.",
            "The app stops recording your location after {n} minutes.",
            "We will tell you by email before we change these rules.",
            "You may ask for a copy of your data, and it costs nothing.",
            "Backups are kept in {place} for {n} {unit}.",
            "A court order is the only reason for which we hand over your {data}.",
            "Our partners must follow the same rules as we do.",
        ],
    ),
    "law": (
        [
            "The {party} shall pay {money} on the first day of each month.",
            "This agreement begins on {date} and lasts for {n} years.",
            "The {party} shall repair the {bigthing} before {month}.",
            "The {party} may end this agreement with {n} {unit} of notice.",
            "{org} and {org2} sign this agreement in {place}.",
        ],
        [
            "The {party} must not copy the plans or show them to others.",
            "A late payment costs {n} percent of the sum for each month.",
            "All changes to this agreement must be made in writing.",
            "The {party} is liable for damage that its staff cause.",
            "The {party2} shall keep all papers secret for {n} years.",
            "If the {party} does not pay, the {party2} may stop the work.",
            "The courts of {place} decide any dispute.",
            "The {party} carries insurance of at least {money}.",
            "Visits take place every {day} between {time} and {time2}.",
            "The {party2} shall return all keys within {n} days.",
            "No party may hand over its duties without consent.",
            "The deposit of {money} is paid back after {n} {unit}.",
            "The {party2} chooses the materials and bears their cost.",
        ],
    ),
    "health": (
        [
            "{title} {last} is {age} and has had {illness} for {n} {unit}.",
            "{title} {last} came to the clinic on {day} with {illness}.",
            "The nurse saw {first} {last}, who complains of {illness}.",
            "{first} {last} works as a {job} in {place} and suffers from {illness}.",
        ],
        [
            "Dr {last2} prescribes {medicine} for {n} days.",
            "The pain is worse in the morning and better after a walk.",
            "The blood test was normal, and the pulse was {big}.",
            "The patient should drink {n} glasses of water every day.",
            "The next visit is on {day} at {time}.",
            "There is no fever, and the lungs are clear.",
            "The patient sleeps {n} hours a night and smokes {n} cigarettes a day.",
            "An allergy to {ingredient} is noted in the file.",
            "The X-ray was taken in {month} and showed no fracture.",
            "{title} {last} must not lift heavy things for {n} weeks.",
            "The wound is clean and has healed well.",
            "Dr {last2} will call with the result on {day}.",
            "Weight has fallen by {n} kilograms since {month}.",
        ],
    ),
    "technology": (
        [
            "The {device} shows a {colour} light when it is ready.",
            "To reset the {device}, hold the {colour} button for {n} seconds.",
            "If the {device} does not start, check the cable first.",
            "The {device} of {org} connects to up to {n} devices at once.",
            "An update for the {device} is installed every {day} at {time}.",
        ],
        [
            "Open the settings and choose the second tab.",
            "The battery lasts {n} hours and charges in {n} minutes.",
            "A blinking {colour} light means that the memory is full.",
            "Restart the {device} and wait for {n} minutes.",
            "The password must have at least {n} letters.",
            "Our support team is open from {time} to {time2}.",
            "You can return the {device} within {n} days.",
            "Version {n} of the app fixes this error.",
            "Never open the case while the {device} is plugged in.",
            "The warranty ends after {n} years.",
            "Press the {colour} key twice to save the file.",
            "The message means that the server cannot be reached.",
            "A spare part costs {money} and arrives in {n} days.",
        ],
    ),
    "nature": (
        [
            "The {colour} {animal} lives in {habitat} near {place}.",
            "The {animal} is a shy hunter that eats {prey} and {prey2}.",
            "The {plant} grows in {habitat} and flowers in {month}.",
            "The River {last} rises near {place} and is {big} kilometres long.",
            "In {season} the {animal} builds its nest in {habitat}.",
        ],
        [
            "It feeds on {prey} and sometimes on {prey2}.",
            "The young leave the nest after {n} weeks.",
            "The female lays {n} {colour} eggs in {month}.",
            "It weighs about {n} grams and can live for {n} years.",
            "Its {colour} back makes it hard to see.",
            "The leaves are {colour} above and {colour2} below.",
            "In {season} the {animal} hides in {habitat}.",
            "It hunts at night and sleeps during the day.",
            "Bees visit the {plant} because it is rich in nectar.",
            "Walkers counted {n} pairs near {place} in {year}.",
            "The water is cold, clear and rich in {prey}.",
            "Frost kills the {plant}, but the seeds survive.",
            "Its call can be heard from {big} metres away.",
        ],
    ),
    "food": (
        [
            "For the {food}, cut {n} {ingredient2} into small pieces.",
            "The {food} needs {n} kilograms of {ingredient} and a little salt.",
            "The kitchen of the {building} serves {food} every {day}.",
            "{first} {last} bakes {food} for {big} guests.",
        ],
        [
            "Add the {ingredient} and stir for {n} minutes.",
            "Bake the dish at {big} degrees for {n} minutes.",
            "Let the dough rest for {n} hours in a warm place.",
            "The {food} is ready when the top is golden.",
            "Serve the {food} with {ingredient} and dark bread.",
            "A portion costs {money} and feeds {n} people.",
            "People who cannot eat {ingredient} should ask the cook.",
            "The pot must be stirred every {n} minutes.",
            "Keep the rest in the fridge for up to {n} days.",
            "The recipe comes from {place} and is {big} years old.",
            "Wash your hands before you touch the dough.",
            "Melt the butter slowly and pour in the milk.",
        ],
    ),
    "history": (
        [
            "The {object} was made by {first} {last} in {year}.",
            "The museum of {place} owns a {object} of {material}.",
            "In {year} {first} {last} built the {bigthing} of {place}.",
            "The {building} of {place} opened in {year}.",
            "The old {bigthing} stands on the {direction} side of {place}.",
        ],
        [
            "It was found by a {job} in a cellar in {place2}.",
            "The town paid {money} for the {object}.",
            "A fire destroyed the roof in {year}.",
            "It is made of {material} and weighs {n} kilograms.",
            "The {object} stands in room {n} beside the stairs.",
            "A storm in {month} {year} broke its {colour} glass.",
            "{first2} {last2} repaired it after the war.",
            "Visitors may not touch the {object}.",
            "The family sold it to the town for {money}.",
            "The {bigthing} is {n} metres high and {n} metres wide.",
            "More than {big} people came to see it in the first year.",
            "Letters show that the {job} never learned to read.",
        ],
    ),
    "travel": (
        [
            "The {vehicle} to {place} leaves every {day} at {time}.",
            "A ticket for the {vehicle} costs {money}.",
            "The {vehicle} from {place} to {place2} takes {n} hours.",
            "Bicycles travel free on the {vehicle} after {time}.",
        ],
        [
            "Children under {n} travel free of charge.",
            "Passengers must buy a ticket before they board.",
            "The last {vehicle} returns at {time2}.",
            "Dogs are allowed if they are kept on a lead.",
            "In {season} the {vehicle} runs only on {day}.",
            "The journey is {big} kilometres long.",
            "Seats can be booked {n} days before the trip.",
            "The driver, {first} {last}, knows every stop.",
            "Heavy bags cost {money} more.",
            "In bad weather the {vehicle} does not run.",
            "Change at {place2} for the {direction} line.",
        ],
    ),
    "education": (
        [
            "The school in {place} teaches {subject} to {big} pupils.",
            "{first} {last} has taught {subject} for {n} years.",
            "The course in {subject} starts on {date}.",
            "The library lends up to {n} books to each member.",
        ],
        [
            "Lessons begin at {time} and end at {time2}.",
            "Each class has {n} pupils and one teacher.",
            "The exam takes {n} hours and has {n} parts.",
            "Books must be returned after {n} weeks.",
            "A late book costs {n} cents a day.",
            "Members may bring a guest on {day}.",
            "The course costs {money} and includes all books.",
            "The reading room is closed in {month}.",
            "Pupils who miss {n} lessons must repeat the course.",
            "The teacher speaks slowly and draws on the board.",
            "New members need a card with a photo.",
        ],
    ),
    "sport": (
        [
            "The {sport} club of {place} was founded in {year}.",
            "{first} {last} won the {sport} race in {place}.",
            "The {sport} team trains every {day} at {time}.",
        ],
        [
            "The team won {n} of its {big} games.",
            "The coach, {first2} {last2}, was once a {job}.",
            "Members pay {money} a year.",
            "The final was played in {place2} in {month}.",
            "The club has {big} members, and {n} of them are children.",
            "Rain stopped the game after {n} minutes.",
            "The new field is {big} metres long.",
            "The captain hurt his knee and missed {n} games.",
            "The next match takes place on {day}.",
        ],
    ),
    "review": (
        [
            "We stayed at the hotel in {place} for {n} nights.",
            "I bought the {device} from {org} in {month}.",
            "My family ate at the {building} cafe on {day}.",
            "I watched the new film by {first} {last} on {day}.",
        ],
        [
            "The staff were {good} and the room was {good2}.",
            "The food was {bad} and the waiter was {bad2}.",
            "I love it and will come back soon.",
            "I was very unhappy and asked for my money back.",
            "The service was {good}, and we enjoyed every minute.",
            "It was a waste of time and money.",
            "The {food} tasted {good}.",
            "The {device} was {bad} after {n} days.",
            "We paid {money} and waited for {n} minutes.",
            "Everything was {good}, and I can recommend it.",
            "Nobody helped us, and the door was {bad}.",
        ],
    ),
}

TOPICS: tuple[str, ...] = tuple(_KINDS)


@dataclass(frozen=True)
class Invented:
    """One invented passage and the topic of the grammar rule that made it."""

    text: str
    topic: str


def surname(rng: random.Random) -> str:
    """Gives an invented surname or place name such as Brenford or Kelmere."""
    stem = "".join(rng.choices(_SYLLABLES, k=rng.choice((1, 1, 2))))
    return (stem + rng.choice(_NAME_ENDS)).capitalize()


def thing(like: str, rng: random.Random) -> str:
    """Gives a random thing in the form of `like`: a name, a time, or a thing with its article."""
    if like[0].isupper():
        return surname(rng) if rng.random() < 0.6 else rng.choice((*FIRST_NAMES, *DAYS, *MONTHS))
    if like.startswith(("the ", "a ")):
        slot = rng.choice(("object", "building", "animal", "plant", "device", "vehicle", "job"))
        return f"{like.partition(' ')[0]} {rng.choice(_SLOTS[slot])}"
    return f"{amount(rng)} {rng.choice(_SLOTS['unit'])}"


def amount(rng: random.Random) -> str:
    """Gives a number of everyday size, in figures or as a word."""
    return rng.choice(NUMBER_WORDS) if rng.random() < 0.5 else str(rng.randint(2, 90))


def _value(slot: str, rng: random.Random) -> str:
    if slot in ("last", "place"):
        return surname(rng)
    if slot == "first":
        return rng.choice(FIRST_NAMES)
    if slot == "title":
        return rng.choice(("Mr", "Mrs", "Ms"))
    if slot == "org":
        tail = rng.choice(("", "", " Bank", " Books", " Garden", " Travel", " Labs", " Post"))
        return surname(rng) + tail
    if slot == "n":
        return amount(rng)
    if slot == "big":
        return str(rng.randint(40, 990))
    if slot == "age":
        return str(rng.randint(12, 88))
    if slot == "year":
        return str(rng.randint(1790, 2024))
    if slot == "date":
        return f"{rng.randint(1, 28)} {rng.choice(MONTHS)}"
    if slot == "money":
        sum_ = rng.choice((amount(rng), f"{rng.randint(2, 90)}00"))
        return f"{sum_} {rng.choice(('euros', 'pounds', 'crowns'))}"
    if slot == "direction":
        return rng.choice(("north", "south", "east", "west"))
    return rng.choice(_SLOTS[slot])


def fill(pattern: str, values: dict[str, str], rng: random.Random) -> str:
    """Gives `pattern` with its slots filled; `values` remembers all but the numbers.

    A slot name that ends in 2 is a second, different value of the same slot.
    """

    def draw(match: re.Match[str]) -> str:
        slot = match[1]
        kind = slot.rstrip("2")
        if kind in ("n", "big", "year", "money"):
            return _value(kind, rng)
        if slot not in values:
            taken = {v for k, v in values.items() if k.rstrip("2") == kind}
            values[slot] = next(v for v in iter(lambda: _value(kind, rng), None) if v not in taken)
        return values[slot]

    return re.sub(r"\{(\w+)\}", draw, pattern)


def invent(rng: random.Random, topic: str | None = None) -> Invented:
    """Gives one passage of two to five sentences, of the given or a random topic."""
    topic = topic or rng.choice(TOPICS)
    openings, others = _KINDS[topic]
    values: dict[str, str] = {}
    count = rng.choice((1, 2, 2, 3, 3, 4))
    patterns = [rng.choice(openings), *rng.sample(others, count)]
    return Invented(" ".join(fill(p, values, rng) for p in patterns), topic)
