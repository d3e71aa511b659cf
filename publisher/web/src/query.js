// The query page: Yasgui over our own endpoint, with completion from our own vocabulary, a chart, a map, and links that pin a release.
import "@zazuko/yasgui/build/yasgui.min.css";
import "./query.css";
import Yasgui from "@zazuko/yasgui";
import { Chart } from "./chart.js";
import { complete } from "./completion.js";
import { element } from "./dom.js";
import { Atlas } from "./map.js";
import { linked, sharing } from "./share.js";
import { Trouble } from "./trouble.js";

const plain = document.getElementById("plain");
const home = document.getElementById("yasgui");
const endpoint = new URL("/sparql", location.href).href;
const notice = element("div", { id: "cut", class: "notice", hidden: "", role: "status" }, "The answer is cut: it has more rows, or took longer, than the endpoint gives.");
const state = { release: "" }; // "" is what is published now

async function words() {
  const answer = await fetch("/sparql/words", { headers: { Accept: "application/json" } });
  return answer.ok ? answer.json() : { prefixes: {}, classes: [], properties: [], concepts: [] };
}

// What is cut must not look whole. A short answer says so in a header, a long one in a member of its own: scripts cannot read trailers.
function remark(yasr) {
  const { results } = yasr ?? {};
  const headers = results?.res?.headers;
  const cut = headers?.["stocktake-cut"] ?? headers?.get?.("stocktake-cut") ?? results?.getAsJson?.()?.cut;
  notice.hidden = !cut;
  if (cut) yasr.rootEl.querySelector(".yasr_header").after(notice);
}

const watched = new WeakSet();

function watch(yasr) {
  if (!yasr || watched.has(yasr)) return;
  watched.add(yasr);
  yasr.on("drawn", () => remark(yasr));
}

function start() {
  const { Yasqe, Yasr } = Yasgui;
  const known = words();
  for (const name of ["prefixes", "property", "class"]) delete Yasqe.Autocompleters[name]; // these ask other hosts, or complete what is not here
  Yasqe.defaults.autocompleters = Yasqe.defaults.autocompleters.filter((name) => name === "variables");
  complete(Yasqe, known);
  Yasr.registerPlugin("chart", Chart, true);
  Yasr.registerPlugin("map", Atlas, true);
  Yasr.registerPlugin("error", Trouble, true);
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
    endpointCatalogueOptions: { getData: () => [], keys: [] },
    requestConfig: {
      endpoint,
      method: "POST",
      acceptHeaderGraph: "text/turtle",
    },
    yasqe: { value: written, editorHeight: "22rem", createShareableLink: () => linked(yasgui, state.release) },
  });
  known.then((it) => (yasgui.config.yasr.prefixes = it.prefixes));
  // Every tab asks our endpoint, of the state that is chosen; a tab that the browser kept may hold another address.
  const settle = () => {
    for (const tab of Object.values(yasgui._tabs)) {
      tab.setEndpoint(endpoint);
      tab.setRequestConfig({ args: state.release ? [{ name: "release", value: state.release }] : [] });
    }
  };
  sharing(yasgui, state, settle);
  settle();
  yasgui.on("tabAdd", settle);
  yasgui.on("tabSelect", settle);

  const open = (name, query) => {
    const tab = yasgui.addTab(true, { ...Yasgui.Tab.getDefaults(yasgui), name, yasqe: { value: query } }, { avoidDuplicateTabs: true });
    settle();
    return tab;
  };
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("query")) open(given.get("name") || "Shared", given.get("query"));
  else if (plain.dataset.example) open(plain.dataset.example, written);
  for (const link of document.querySelectorAll("a[data-query]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      open(link.textContent.slice(0, 40), link.dataset.query);
      home.scrollIntoView();
    });
  }
  home.addEventListener("fault", ({ detail }) => yasgui.getTab()?.getYasqe()?.setCursor({ line: detail.line - 1, ch: detail.column - 1 }));
  yasgui.on("queryResponse", (_, tab) => watch(tab.getYasr())); // it is told before the answer is drawn
  window.stocktakeQuery = yasgui; // for scripts and tests
}

if (plain && home) {
  start();
  plain.hidden = true;
}
