// The query page: Yasgui over our own endpoint, with completion from our own vocabulary, a chart, a map, and links that pin a release.
import "./texts.js"; // before Yasgui, whose own texts pass through it
import "@zazuko/yasgui/build/yasgui.min.css";
import "./query.css";
import Yasgui from "@zazuko/yasgui";
import { makeAccessible } from "./accessible.js";
import { Chart } from "./chart.js";
import { complete } from "./completion.js";
import { element, total } from "./dom.js";
import { Atlas } from "./map.js";
import { Table, describe, markOld, run } from "./run.js";
import { linked, sharing } from "./share.js";
import { direction, text } from "./texts.js";
import { QueryError } from "./error.js";

const plain = document.getElementById("plain");
const home = document.getElementById("yasgui");
const endpoint = new URL("/sparql", location.href).href;
const notice = element("div", { id: "cut", class: "notice", hidden: "", role: "status", dir: direction }, text("Results are incomplete: the row or time limit was reached."));
const state = { release: "" }; // "" is what is published now

async function words() {
  const answer = await fetch("/sparql/words", { headers: { Accept: "application/json" } });
  return answer.ok ? answer.json() : { prefixes: {}, classes: [], properties: [], concepts: [] };
}

// A truncated result must not look complete. A short response says so in a header, a long one in a member: scripts cannot read trailers.
function remark(yasr) {
  const { results } = yasr ?? {};
  const headers = results?.res?.headers;
  const cut = headers?.["stocktake-truncated"] ?? headers?.get?.("stocktake-truncated") ?? results?.getAsJson?.()?.truncated;
  notice.hidden = !cut;
  if (cut) yasr.rootEl.querySelector(".yasr_header").after(notice);
}

const watched = new WeakSet();

function watch(tab) {
  const yasr = tab?.getYasr();
  if (!yasr || watched.has(yasr)) return;
  watched.add(yasr);
  tab.getYasqe().on("change", () => markOld(tab));
  yasr.on("drawn", () => {
    remark(yasr);
    describe(tab, state.release);
  });
}

// The number of rows and the time that they took, beside the choice of views.
function info() {
  const { results } = this, count = results?.getBindings() ? text("Rows: {count}", { count: total(results) }) : "";
  const time = results?.getResponseTime() ? text("{seconds} s", { seconds: results.getResponseTime() / 1000 }) : "";
  this.dataElement.textContent = [count, time].filter(Boolean).join(" · ");
  this.dataElement.classList.toggle("empty", !results);
}

// Yasgui's classes in the reader's language; a query runs in a worker.
function adapt({ Yasqe, Yasr }, ask) {
  Yasqe.prototype.query = function (config) {
    return ask(this, config);
  };
  Yasr.prototype.updateResponseInfo = info;
  Yasr.prototype.fillFallbackBox = function () {
    this.emptyFallbackElement(); // the list of views says which one is shown
  };
  Table.defaults.tableConfig.autoWidth = false; // the browser finds the widths: DataTables draws all cells for them
  Table.defaults.tableConfig.language = {
    paginate: { first: "«", last: "»", next: "›", previous: "‹" },
    info: text("Rows _START_ to _END_ of _TOTAL_"),
    infoEmpty: "",
    infoFiltered: text("(of _MAX_ in all)"),
    emptyTable: text("No results"),
    zeroRecords: text("No results"),
  };
}

function start() {
  const { Yasqe, Yasr } = Yasgui;
  adapt(Yasgui, (yasqe, config) => {
    notice.hidden = true;
    return run(yasgui, yasqe, config, state.release);
  });
  const known = words();
  for (const name of ["prefixes", "property", "class"]) delete Yasqe.Autocompleters[name]; // these ask other hosts, or complete what is not here
  Yasqe.defaults.autocompleters = Yasqe.defaults.autocompleters.filter((name) => name === "variables");
  complete(Yasqe, known);
  Yasr.registerPlugin("table", Table, true);
  Yasr.registerPlugin("chart", Chart, true);
  Yasr.registerPlugin("map", Atlas, true);
  Yasr.registerPlugin("error", QueryError, true);
  Yasr.defaults.pluginOrder = ["table", "chart", "map", "response"];

  const defaults = Yasgui.Tab.getDefaults; // a table begins without datatypes and row numbers, which are a click away
  Yasgui.Tab.getDefaults = (it) => {
    const tab = defaults(it);
    tab.yasr.settings.pluginsConfig = { table: { compact: true, isEllipsed: true } };
    return tab;
  };
  const written = document.getElementById("query").value;
  const yasgui = new Yasgui(home, {
    autofocus: false,
    copyEndpointOnNewTab: false,
    populateFromUrl: false,
    persistenceId: "stocktake-query",
    tabName: text("Query"),
    endpointCatalogueOptions: { getData: () => [], keys: [] },
    requestConfig: {
      endpoint,
      method: "POST",
      acceptHeaderGraph: "text/turtle",
    },
    yasqe: { value: written, editorHeight: "22rem", createShareableLink: () => linked(yasgui, state.release) },
  });
  makeAccessible(home);
  known.then((it) => (yasgui.config.yasr.prefixes = it.prefixes));
  // Every tab queries our endpoint, with the chosen release; a tab that the browser stored may have another address.
  const settle = () => {
    for (const tab of Object.values(yasgui._tabs)) {
      tab.setEndpoint(endpoint);
      tab.setRequestConfig({ args: state.release ? [{ name: "release", value: state.release }] : [] });
    }
  };
  sharing(yasgui, state, settle);
  settle();
  yasgui.on("tabAdd", settle);
  yasgui.on("tabSelect", () => {
    settle();
    watch(yasgui.getTab());
  });
  yasgui.on("queryResponse", (_, tab) => watch(tab)); // before the answer is drawn
  watch(yasgui.getTab());

  const open = (name, query, view) => {
    const settings = Yasgui.Tab.getDefaults(yasgui);
    if (view) settings.yasr.settings.selectedPlugin = view;
    const tab = yasgui.addTab(true, { ...settings, name, yasqe: { value: query } }, { avoidDuplicateTabs: true });
    settle();
    return tab;
  };
  const show = (name, query, view) => open(name, query, view).query().catch(() => {}); // what went wrong is shown where the answer would be
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("query")) open(given.get("name") || text("Shared"), given.get("query"));
  else if (plain.dataset.run) show(plain.dataset.example, written, plain.dataset.view);
  else if (plain.dataset.example) open(plain.dataset.example, written);
  for (const link of document.querySelectorAll("a[data-query]")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // it opens another page
      event.preventDefault();
      show(link.textContent.slice(0, 40), link.dataset.query, link.dataset.view);
      home.scrollIntoView();
    });
  }
  home.addEventListener("syntax-error", ({ detail }) => yasgui.getTab()?.getYasqe()?.setCursor({ line: detail.line - 1, ch: detail.column - 1 }));
  window.stocktakeQuery = yasgui; // for scripts and tests
}

if (plain && home) {
  start();
  plain.hidden = true;
}
