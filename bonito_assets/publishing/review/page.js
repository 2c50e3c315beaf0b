"use strict";
// Shows the rows of the release, filters them, and keeps what a person marks. All text from the
// corpus goes through `ink`, which makes text nodes: nothing of it is ever parsed as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

// What changes how a line is read without being seen; shown as a mark with its number.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;
const UNSEEN_OR_NOT = new RegExp(`(${UNSEEN.source})`, "u");

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function ink(text) {
  const made = document.createDocumentFragment();
  for (const part of text.split(UNSEEN_OR_NOT)) {
    if (part !== "" && UNSEEN.test(part)) {
      const number = part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      made.append(element("span", { class: "unseen", title: "a character that is not seen" }, `U+${number}`));
    } else made.append(part);
  }
  return made;
}

// --- Marks: kept in this browser, one set per release.

const shelf = `bonito-review/${data.corpus}/${data.version}`;
let marks = new Map();
let others = null;
try {
  marks = new Map(Object.entries(JSON.parse(localStorage.getItem(shelf) ?? "{}")));
} catch {
  byId("agreement").title = "this browser does not keep marks for files; save them before you leave";
}

function remember(row, change) {
  const mark = { ...marks.get(row.id), ...change };
  if (mark.mark || mark.note) marks.set(row.id, mark);
  else marks.delete(row.id);
  try {
    localStorage.setItem(shelf, JSON.stringify(Object.fromEntries(marks)));
  } catch {
    // Marks still live in the page, and saving them works.
  }
  showAgreement();
}

const markOf = (row, from = marks) => from.get(row.id)?.mark ?? null;

// The 95% interval of a share by Wilson (1927), which holds for few rows and for shares near 1.
function share(part, whole) {
  if (!whole) return "none";
  const z = 1.96;
  const p = part / whole;
  const middle = p + (z * z) / (2 * whole);
  const spread = z * Math.sqrt((p * (1 - p)) / whole + (z * z) / (4 * whole * whole));
  const scale = 1 + (z * z) / whole;
  const percent = (x) => `${Math.round(100 * x)}`;
  const interval = `${percent((middle - spread) / scale)} to ${percent((middle + spread) / scale)}`;
  return `${part} of ${whole} (${percent(p)}%; 95% interval ${interval}%)`;
}

// Agreement beyond what two people with these habits would reach by chance (Cohen 1960).
function kappa(pairs) {
  const n = pairs.length;
  const same = pairs.filter(([one, two]) => one === two).length / n;
  const good = (side) => pairs.filter((pair) => pair[side] === "good").length / n;
  const chance = good(0) * good(1) + (1 - good(0)) * (1 - good(1));
  return chance === 1 ? null : (same - chance) / (1 - chance);
}

function showAgreement() {
  const marked = data.rows.filter((row) => markOf(row));
  const kept = marked.filter((row) => row.verdict === null);
  const rejected = marked.filter((row) => row.verdict !== null);
  const good = kept.filter((row) => markOf(row) === "good").length;
  const bad = rejected.filter((row) => markOf(row) === "bad").length;
  byId("agreement").textContent = marked.length
    ? `agree with ${share(good + bad, marked.length)} of the verdicts; ` +
      `good among kept rows: ${share(good, kept.length)}; ` +
      `bad among rejected rows: ${share(bad, rejected.length)}`
    : "none yet";
  const second = byId("second");
  second.hidden = others === null;
  if (others === null) return;
  const pairs = marked
    .map((row) => [markOf(row), markOf(row, others)])
    .filter(([, other]) => other);
  const same = pairs.filter(([one, two]) => one === two).length;
  const beyond = pairs.length ? kappa(pairs) : null;
  second.textContent =
    `The other person marked ${others.size} rows. You agree on ${share(same, pairs.length)} ` +
    `that both marked` + (beyond === null ? "." : `; Cohen's kappa ${beyond.toFixed(2)}.`);
}

function save() {
  const lines = data.rows
    .filter((row) => marks.has(row.id))
    .map((row) =>
      JSON.stringify({
        corpus: data.corpus,
        version: data.version,
        generation_id: row.id,
        task_type: row.task_type,
        rejected_because: row.verdict,
        mark: markOf(row),
        note: marks.get(row.id).note ?? "",
      }),
    );
  const url = URL.createObjectURL(new Blob(lines.map((line) => `${line}\n`), { type: "application/x-ndjson" }));
  element("a", { href: url, download: `marks-${data.corpus}-${data.version}.jsonl` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function compare(file) {
  try {
    const read = (await file.text())
      .split("\n")
      .filter((line) => line.trim())
      .map((line) => JSON.parse(line));
    const known = new Set(data.rows.map((row) => row.id));
    others = new Map(
      read
        .filter((entry) => known.has(entry.generation_id) && ["good", "bad"].includes(entry.mark))
        .map((entry) => [entry.generation_id, { mark: entry.mark, note: String(entry.note ?? "") }]),
    );
    fillMarked();
    show();
    showAgreement();
  } catch (error) {
    byId("second").hidden = false;
    byId("second").textContent = `This is no file of marks: ${error.message}`;
  }
}

// --- One row as a card.

function chip(text, kind, title = "") {
  return element("span", { class: `chip ${kind}`, title }, ink(text));
}

function prose(pieces, passage) {
  const box = element("div", { class: "prose", dir: "auto" });
  pieces.forEach((piece, place) => {
    if (place > 0) box.append(...slot(passage));
    if (piece) box.append(element("span", {}, ink(piece)));
  });
  return box;
}

// The passage inside an instruction: a word that unfolds, since the passage stands beside it.
function slot(passage) {
  const text = element("span", { class: "filling", hidden: "" }, ink(passage ? passage.text.trim() : ""));
  const button = element("button", { type: "button", class: "slot", "aria-expanded": "false" }, "passage");
  button.addEventListener("click", () => {
    text.hidden = !text.hidden;
    button.setAttribute("aria-expanded", !text.hidden);
  });
  return [button, text];
}

function field(name, ...content) {
  return element("div", { class: "field" }, element("h4", {}, name), ...content);
}

// The words of `text` that are not in a longest common subsequence with `other`, marked.
function compared(text, other) {
  const words = text.split(/(\s+)/);
  const theirs = other.split(/(\s+)/);
  const box = element("div", { class: "prose", dir: "auto" });
  if (words.length * theirs.length > 4_000_000) {
    box.append(ink(text));
    return box;
  }
  const width = theirs.length + 1;
  const best = new Uint16Array((words.length + 1) * width);
  for (let i = words.length - 1; i >= 0; i--)
    for (let j = theirs.length - 1; j >= 0; j--)
      best[i * width + j] =
        words[i] === theirs[j]
          ? best[(i + 1) * width + j + 1] + 1
          : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
  let j = 0;
  words.forEach((word, i) => {
    while (
      j < theirs.length &&
      word !== theirs[j] &&
      best[i * width + j + 1] >= best[(i + 1) * width + j] &&
      best[i * width + j + 1] > 0
    )
      j++;
    if (j < theirs.length && word === theirs[j]) {
      box.append(ink(word));
      j++;
    } else box.append(element("ins", {}, ink(word)));
  });
  return box;
}

function copyable(name, value) {
  const button = element("button", { type: "button", class: "copy", title: `copy ${name}` }, ink(value));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(value);
    } catch {
      // Not every browser lets a file use the clipboard; then the text is there to be copied.
      getSelection().selectAllChildren(button);
      document.execCommand("copy");
    }
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 900);
  });
  return element("div", {}, element("dt", {}, name), element("dd", {}, button));
}

function term(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, ink(value)));
}

function passageOf(row) {
  const passage = data.passages[row.chunk_id];
  if (!passage) return element("p", { class: "none" }, "The passage is no longer in the table.");
  const box = element("div", { class: "prose passage", dir: "auto" });
  const [from, to] = row.found ?? [0, 0];
  const span = element("span", { class: "span" });
  span.append(ink(passage.text.slice(0, from)));
  if (to > from) span.append(element("mark", { title: "the answer" }, ink(passage.text.slice(from, to))));
  span.append(ink(passage.text.slice(to)));
  box.append(
    element("span", { class: "around" }, ink(passage.before)),
    span,
    element("span", { class: "around" }, ink(passage.after)),
  );
  return box;
}

const number = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(3));

function card(row, place) {
  const passage = data.passages[row.chunk_id];
  const kept = row.verdict === null;
  const head = element(
    "div",
    { class: "head" },
    chip(row.task_type, "type"),
    element(
      "span",
      { class: "judged" },
      chip(kept ? "kept" : row.verdict, kept ? "kept" : "rejected"),
      ...(row.label === null ? [] : [chip(row.label, "label", "label")]),
      ...(row.transductive ? [chip("transductive", "warn", "the passage is also one of the test set")] : []),
    ),
    element("span", { class: "number" }, `${place + 1}`),
  );
  const left = element("div", { class: "side" });
  if (!kept)
    left.append(
      element("p", { class: "why" }, `Rejected: ${data.meanings[row.verdict] ?? row.verdict}.`),
    );
  if (row.contaminated_by)
    left.append(element("p", { class: "why" }, "It overlaps with ", ink(row.contaminated_by), "."));
  if (row.instruction) left.append(field("Instruction", prose(row.instruction, passage)));
  if (row.answer) left.append(field("Answer", prose(row.answer, passage)));
  if (row.written !== undefined)
    left.append(
      field("Output as it was written", element("div", { class: "prose raw", dir: "auto" }, ink(row.written))),
      element("p", { class: "none" }, `It ended by: ${row.finish_reason}`),
    );
  if (!row.instruction && row.written === undefined)
    left.append(element("p", { class: "none" }, "Nothing was generated for this passage."));
  if (row.kept) left.append(keptInstead(row));
  else if (row.duplicate_of)
    left.append(element("p", { class: "none instead" }, "The row that was kept in its place is no longer there."));

  const source = element("dl", { class: "source" });
  if (passage) {
    if (passage.title) source.append(term("document", passage.title));
    source.append(term("at", passage.uri));
    if (passage.headings.length) source.append(term("under", passage.headings.join(" › ")));
    source.append(
      term("characters", `${passage.start.toLocaleString("en")} to ${passage.end.toLocaleString("en")}`),
      copyable("doc_id", passage.doc_id),
    );
  }
  source.append(copyable("chunk_id", row.chunk_id), copyable("generation_id", row.id));
  if (row.sample !== undefined) source.append(term("sample", `${row.sample}`));

  const right = element("div", { class: "side" }, field("Passage in its document", passageOf(row)), source);
  const scores = element("dl", { class: "scores" });
  for (const [name, value] of Object.entries(row.scores)) scores.append(term(name, number(value)));
  if (row.output_tokens) scores.append(term("output_tokens", number(row.output_tokens)));
  if (row.template) scores.append(term("template", row.template));

  const note = element("input", { class: "note", placeholder: "note", "aria-label": "note" });
  note.value = marks.get(row.id)?.note ?? "";
  note.addEventListener("input", () => remember(row, { note: note.value }));
  const marking = element(
    "div",
    { class: "marking" },
    element("button", { type: "button", class: "good", onclick: () => mark(place, "good") }, "Good"),
    element("button", { type: "button", class: "bad", onclick: () => mark(place, "bad") }, "Bad"),
    note,
    element("span", { class: "theirs" }),
  );
  const made = element("article", { tabindex: "-1", class: "card", "aria-label": `row ${place + 1}` });
  made.append(head, element("div", { class: "sides" }, left, right), scores, marking);
  made.addEventListener("focusin", () => stand(place));
  paint(made, row);
  return made;
}

function keptInstead(row) {
  const mine = data.passages[row.chunk_id];
  const passage = data.passages[row.kept.chunk_id];
  const box = element("details", { class: "instead", open: "" });
  box.append(element("summary", {}, "The row that was kept in its place"));
  if (row.kept.instruction) box.append(field("Instruction", prose(row.kept.instruction, passage)));
  if (row.kept.answer) box.append(field("Answer", prose(row.kept.answer, passage)));
  if (passage && mine && row.kept.chunk_id !== row.chunk_id)
    box.append(field("Its passage; words that differ are marked", compared(passage.text, mine.text)));
  else box.append(element("p", { class: "none" }, "Both are about the same passage."));
  box.append(element("dl", { class: "source" }, copyable("generation_id", row.kept.id)));
  return box;
}

// Shows on a card what its row is marked as.
function paint(made, row) {
  const own = markOf(row);
  made.classList.toggle("marked", own !== null);
  made.querySelector(".good").setAttribute("aria-pressed", own === "good");
  made.querySelector(".bad").setAttribute("aria-pressed", own === "bad");
  const theirs = others && own ? markOf(row, others) : null;
  made.querySelector(".theirs").textContent = theirs ? `the other person: ${theirs}` : "";
}

function mark(place, value) {
  const row = shown[place];
  remember(row, { mark: markOf(row) === value ? null : value });
  const made = cardAt(place);
  if (made) paint(made, row);
}

// --- Filters and the list.

const STRETCH = 40; // cards that are made at once, as many as a few screens hold
let shown = [];
let current = -1;

const searched = new Map();
function words(row) {
  if (!searched.has(row.id)) {
    const passage = data.passages[row.chunk_id];
    const parts = [row.id, row.chunk_id, row.written, ...(row.instruction ?? []), ...(row.answer ?? [])];
    if (passage) parts.push(passage.text, passage.title, passage.uri, passage.doc_id);
    searched.set(row.id, parts.filter(Boolean).join("\n").toLowerCase());
  }
  return searched.get(row.id);
}

const FILTERS = {
  verdict: (row, wanted) =>
    wanted === "rejected only" ? row.verdict !== null : (row.verdict ?? "kept") === wanted,
  task_type: (row, wanted) => row.task_type === wanted,
  label: (row, wanted) => row.label === wanted,
  marked: (row, wanted) =>
    ({
      marked: markOf(row) !== null,
      unmarked: markOf(row) === null,
      good: markOf(row) === "good",
      bad: markOf(row) === "bad",
      disagree: markOf(row) !== null && (markOf(row) === "good") !== (row.verdict === null),
      differ: others !== null && markOf(row) && markOf(row, others) && markOf(row) !== markOf(row, others),
    })[wanted],
  text: (row, wanted) => words(row).includes(wanted.toLowerCase()),
};

function options(id, all, values) {
  const select = byId(id);
  const before = select.value;
  select.replaceChildren(element("option", { value: "" }, all));
  for (const [value, name] of values) select.append(element("option", { value }, name));
  if (values.some(([value]) => value === before)) select.value = before;
}

function counted(of) {
  const counts = new Map();
  for (const row of data.rows) {
    const value = of(row);
    if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts]
    .sort((one, two) => two[1] - one[1])
    .map(([value, n]) => [value, `${inMenu(value)} (${n})`]);
}

// A menu has only plain text, so what is not seen is spelt out, and a long label cut.
function inMenu(text) {
  return ink(text.length > 60 ? `${text.slice(0, 60)}…` : text).textContent;
}

function fillMarked() {
  const choices = [
    ["unmarked", "not yet"],
    ["marked", "marked"],
    ["good", "good"],
    ["bad", "bad"],
    ["disagree", "against the verdict"],
  ];
  if (others) choices.push(["differ", "otherwise than the other person"]);
  options("marked", "all", choices);
}

function show() {
  const wanted = Object.keys(FILTERS)
    .map((id) => [FILTERS[id], byId(id).value])
    .filter(([, value]) => value !== "");
  shown = data.rows.filter((row) => wanted.every(([passes, value]) => passes(row, value)));
  current = -1;
  byId("list").replaceChildren();
  byId("count").textContent =
    shown.length === data.rows.length
      ? `${data.rows.length.toLocaleString("en")} rows`
      : `${shown.length.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} rows`;
  extend(STRETCH);
  showPlace();
  // Who was far down in the old list begins at the top of the new one.
  if (byId("list").getBoundingClientRect().top < 0) byId("rows").scrollIntoView();
}

const cardAt = (place) => byId("list").children[place];

function extend(upTo) {
  const list = byId("list");
  const made = document.createDocumentFragment();
  for (let place = list.children.length; place < Math.min(upTo, shown.length); place++)
    made.append(card(shown[place], place));
  list.append(made);
}

function showPlace() {
  byId("place").textContent = shown.length ? `${current + 1 || "–"} / ${shown.length}` : "no rows";
}

function stand(place) {
  if (place === current) return;
  cardAt(current)?.classList.remove("current");
  current = place;
  cardAt(current).classList.add("current");
  showPlace();
}

function step(by) {
  if (!shown.length) return;
  let place = current + by;
  const box = cardAt(current)?.getBoundingClientRect();
  if (!box || box.bottom < 0 || box.top > innerHeight) {
    // The person has scrolled: go on from what is on the screen.
    const cards = [...byId("list").children];
    place = cards.findIndex((made) => made.getBoundingClientRect().bottom > innerHeight / 4);
    if (place < 0) place = cards.length - 1;
  }
  place = Math.max(0, Math.min(place, shown.length - 1));
  extend(place + STRETCH / 2);
  stand(place);
  cardAt(place).focus({ preventScroll: true });
  cardAt(place).scrollIntoView({ block: "start" });
}

function reset() {
  for (const id of Object.keys(FILTERS)) byId(id).value = "";
  show();
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  g: () => current >= 0 && mark(current, "good"),
  b: () => current >= 0 && mark(current, "bad"),
  u: () => current >= 0 && markOf(shown[current]) && mark(current, markOf(shown[current])),
  n: () => cardAt(current)?.querySelector(".note").focus(),
  "/": () => byId("text").focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=checkbox]), select");
  if (event.key === "Escape" && typing) {
    if (current >= 0) cardAt(current).focus({ preventScroll: true });
    else event.target.blur();
  } else if (!typing && KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

for (const id of Object.keys(FILTERS)) byId(id).addEventListener("input", show);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("reset").addEventListener("click", reset);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("save").addEventListener("click", save);
byId("other").addEventListener("change", (event) => event.target.files[0] && compare(event.target.files[0]));
byId("blind").addEventListener("change", (event) => {
  document.body.classList.toggle("blind", event.target.checked);
});
byId("clear").addEventListener("click", () => {
  if (!confirm("Forget all marks and notes of this release?")) return;
  for (const row of data.rows) if (marks.has(row.id)) remember(row, { mark: null, note: "" });
  show();
});
for (const button of document.querySelectorAll(".pick"))
  button.addEventListener("click", () => {
    reset();
    for (const [id, value] of Object.entries(button.dataset)) byId(id).value = value;
    show();
    byId("rows").scrollIntoView();
  });
addEventListener("beforeprint", () => extend(shown.length));
new IntersectionObserver(
  (seenNow) => seenNow.some((entry) => entry.isIntersecting) && extend(byId("list").children.length + STRETCH),
  { rootMargin: "1500px" },
).observe(byId("end"));

options("verdict", "all", [
  ...counted((row) => (row.verdict === null ? "kept" : "rejected only")).sort(),
  ...counted((row) => row.verdict),
]);
options("task_type", "all", counted((row) => row.task_type));
options("label", "all", counted((row) => row.label));
fillMarked();
show();
showAgreement();
