// The form of the query page of an edition; it loads Oxigraph and the statements when the reader asks for them.
"use strict";

const form = document.querySelector("#query-form");
const query = form.elements.query;
const status = document.querySelector("#state");
const result = document.querySelector("#result");
const load = document.querySelector("#load");

function script(address) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = address;
    element.addEventListener("load", resolve);
    element.addEventListener("error", () => reject(new Error(address)));
    document.head.append(element);
  });
}

function cell(kind, text) {
  const element = document.createElement(kind);
  element.textContent = text;
  element.dir = "auto";
  return element;
}

function line(kind, texts) {
  const row = document.createElement("tr");
  row.append(...texts.map((text) => cell(kind, text)));
  return row;
}

load.addEventListener("click", async () => {
  load.disabled = true;
  status.textContent = form.dataset.loading;
  try {
    await script(form.dataset.engine);
    await script(form.dataset.statements);
    const size = await stocktakeQuery.loaded;
    status.textContent = `${form.dataset.loaded}: ${size.toLocaleString(document.documentElement.lang)}`;
    form.elements.run.disabled = false;
    load.hidden = true;
  } catch (error) {
    status.textContent = `${error.message ?? error}`;
    load.disabled = false;
  }
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  try {
    const { columns, rows, count } = stocktakeQuery.table(query.value);
    const head = document.createElement("thead");
    const body = document.createElement("tbody");
    head.append(line("th", columns));
    body.append(...rows.map((texts) => line("td", texts)));
    result.replaceChildren(head, body);
    status.textContent = `${form.dataset.rows}: ${count.toLocaleString(document.documentElement.lang)}`;
  } catch (error) {
    status.textContent = `${error.message ?? error}`;
  }
});

for (const example of document.querySelectorAll("a[data-query]"))
  example.addEventListener("click", (event) => {
    event.preventDefault();
    query.value = example.dataset.query;
    query.focus();
  });

const parameters = new URLSearchParams(location.search);
const chosen = [...document.querySelectorAll("a[data-query]")].find((example) => example.dataset.name === parameters.get("example"));
const written = parameters.get("show") ?? parameters.get("query");
if (written) query.value = written;
else if (chosen) query.value = chosen.dataset.query;
