// The search of an edition. It loads its index by script elements: pages that are opened from a disk may not fetch files.
"use strict";

const form = document.querySelector("#search");
const list = document.querySelector("#results");
const status = document.querySelector("#found");
const more = document.querySelector("#more");
const filters = document.querySelector("#filters");
const folder = form.dataset.index;
const PAGE = 20;
const WORDS = new RegExp("[\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7a3]|(?:(?![\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7a3])[\\p{L}\\p{N}])+", "gu");
const shards = new Map();
const loading = new Map();
let index = null;

globalThis.stocktakeSearch = {
  documents(value) {
    index = { ...value, common: new Set(value.common) };
  },
  words({ shard, words }) {
    shards.set(shard, new Map(Object.entries(words)));
  },
};

function load(name) {
  if (!loading.has(name))
    loading.set(
      name,
      new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${folder}/${name}.js`;
        script.addEventListener("load", resolve);
        script.addEventListener("error", () => reject(new Error(name)));
        document.head.append(script);
      }),
    );
  return loading.get(name);
}

// As `fold` in publisher/editions/rewriting.py.
const fold = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "").match(WORDS) ?? [];

function numbers(differences) {
  let last = 0;
  return differences.map((difference) => (last += difference));
}

// The documents that have a word, or a word that begins with it.
async function documentsWith(word) {
  const shard = word.codePointAt(0) % index.shards;
  await load(`words-${shard}`);
  const found = new Set();
  for (const [known, differences] of shards.get(shard)) if (known.startsWith(word)) for (const number of numbers(differences)) found.add(number);
  return found;
}

function matches(row, facets) {
  return facets.every(([facet, code]) => row[index.columns.indexOf(facet)].split(" ").includes(code));
}

async function search(text, facets) {
  const words = [...new Set(fold(text))].filter((word) => !index.common.has(word));
  const sets = await Promise.all(words.map(documentsWith));
  const titles = index.columns.indexOf("title");
  const found = index.rows.flatMap((row, number) => (sets.every((set) => set.has(number)) && matches(row, facets) ? [row] : []));
  const score = (row) => words.filter((word) => fold(row[titles]).includes(word)).length;
  return words.length ? found.map((row) => [score(row), row]).sort((one, other) => other[0] - one[0]).map(([, row]) => row) : found;
}

function item(row) {
  const value = (name) => row[index.columns.indexOf(name)];
  const entry = document.createElement("li");
  const heading = document.createElement("h3");
  const link = document.createElement("a");
  const about = document.createElement("p");
  heading.dir = "auto";
  link.href = form.dataset.root + value("file").split("/").map(encodeURIComponent).join("/");
  link.textContent = value("title");
  about.className = "quiet";
  about.textContent = [JSON.parse(form.dataset.kinds)[value("kind")] ?? value("kind"), value("source")].filter(Boolean).join(" · ");
  heading.append(link);
  entry.append(heading, about);
  return entry;
}

function chips(facets) {
  filters.replaceChildren();
  for (const [facet, code] of facets) {
    const chip = document.createElement("a");
    const rest = new URLSearchParams(location.search);
    rest.delete(facet);
    chip.className = "chip";
    chip.href = `?${rest}`;
    chip.textContent = `${JSON.parse(form.dataset.facets)[facet] ?? facet}: ${code} ×`;
    filters.append(chip, " ");
  }
}

async function show() {
  const parameters = new URLSearchParams(location.search);
  const text = parameters.get("q") ?? "";
  form.elements.q.value = text;
  await load("documents");
  const facets = index.columns.slice(2).flatMap((facet) => parameters.getAll(facet).filter(Boolean).map((code) => [facet, code]));
  chips(facets);
  for (const [facet, code] of facets) {
    const kept = document.createElement("input");
    [kept.type, kept.name, kept.value] = ["hidden", facet, code];
    form.append(kept);
  }
  const found = await search(text, facets);
  const total = found.length.toLocaleString(document.documentElement.lang);
  status.textContent = found.length ? `${total} ${form.dataset.results}` : form.dataset.none;
  const showMore = () => {
    list.append(...found.splice(0, PAGE).map(item));
    more.hidden = !found.length;
  };
  more.addEventListener("click", showMore);
  showMore();
  document.body.dataset.searched = "true";
}

show();
