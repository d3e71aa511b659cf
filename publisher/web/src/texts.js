// Texts of the page in the reader's language: the server sends them by their English text, in data-texts of the editor's place.
const place = document.getElementById("yasgui");
const known = JSON.parse(place?.dataset.texts || "{}");
const language = document.documentElement.lang || "en";

export const direction = document.documentElement.dir || "ltr";

// The text, with {name} replaced by values; numbers are written as the language writes them, in European digits.
export const text = (key, values = {}) => (known[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));

export const number = (value, digits = 2) => value.toLocaleString(language, { maximumFractionDigits: digits, numberingSystem: "latn" });

const shown = (value) => (typeof value === "number" ? number(value) : value);

globalThis.stocktakeText = text; // Yasgui's own texts pass through it: see build.mjs
