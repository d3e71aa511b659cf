// Run: sends the query of a tab in a worker, shows how long it takes and lets the reader cancel it, and says how much of the result is shown.
import Yasgui from "@zazuko/yasgui";
import { element, total } from "./dom.js";
import { SHOWN as IN_CHART } from "./chart.js";
import { direction, number, text } from "./texts.js";

const IN_TABLE = 1000; // rows that are rendered
const KEPT = 5000; // rows that views may use: the map draws as many marks
const ADDRESS = 40000; // characters of an address that the endpoint takes; a longer query is run as an export
const SHOWN = { table: IN_TABLE, chart: IN_CHART };
const WORKER = new URL("worker.js", document.currentScript.src).href;

// The table of Yasgui, with the first rows only.
export class Table extends Yasgui.Yasr.plugins.table {
  label = text("Table");

  getRows() {
    return super.getRows().slice(0, IN_TABLE);
  }

  // A cell is drawn as Yasgui draws it. For searching, sorting and the type of a column its text is enough: Yasgui itself cleans the
  // HTML of each cell of each row, which takes seconds.
  getColumns() {
    return super.getColumns().map((column) => ({
      ...column,
      render: (term, use, row, at) => (use === "display" || !term.value ? column.render(term, use, row, at) : use === "filter" ? escaped(term.value) : term.value),
    }));
  }
}

const MARKUP = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
const escaped = (value) => value.replace(/[&<>]/g, (sign) => MARKUP[sign]); // a search index is read as HTML

const bars = new WeakMap(); // by tab

function barOf(tab) {
  if (!bars.has(tab)) {
    const bar = { root: element("div", { class: "answer-bar row", dir: direction }), state: element("span", { role: "status" }), time: element("span", { class: "time" }) };
    bar.cancel = element("button", { type: "button", class: "cancel", hidden: "" }, text("Cancel"));
    bar.files = element("span", { class: "files row" });
    bar.cancel.addEventListener("click", () => tab.getYasqe().abortQuery());
    bar.root.append(bar.state, bar.time, bar.cancel, bar.files);
    tab.getYasr().rootEl.before(bar.root);
    bars.set(tab, bar);
  }
  return bars.get(tab);
}

const seconds = (since) => text("{seconds} s", { seconds: number((performance.now() - since) / 1000, 1) });

// Remove what an earlier query left: its rows, its error and its notes.
function clear(yasr) {
  yasr.plugins[yasr.drawnPlugin]?.destroy?.();
  yasr.results = yasr.drawnPlugin = undefined;
  yasr.resultsEl.replaceChildren();
  yasr.emptyFallbackElement();
  yasr.updateResponseInfo();
}

// A result is greyed while the editor has a query other than the one that it answers.
export function markOld(tab) {
  const { query } = barOf(tab), old = query !== undefined && query !== tab.getYasqe().getValue();
  tab.getYasr().rootEl.classList.toggle("old", old);
}

export async function run(yasgui, yasqe, config, release) {
  yasqe.abortQuery();
  const tab = Object.values(yasgui._tabs).find((it) => it.getYasqe() === yasqe);
  yasqe.emit("queryBefore", config);
  const asked = Yasgui.Yasqe.Sparql.getAjaxConfig(yasqe, config), body = new URLSearchParams();
  for (const [name, value] of Object.entries(asked.args)) for (const one of [value].flat()) body.append(name, one);
  const bar = barOf(tab), since = performance.now(), controller = new AbortController();
  clear(tab.getYasr());
  bar.root.dataset.state = "running";
  Object.assign(bar, { query: yasqe.getValue(), release });
  markOld(tab);
  bar.files.replaceChildren();
  bar.state.textContent = text("Running");
  bar.cancel.hidden = false;
  let rows = null;
  const tick = () => (bar.time.textContent = seconds(since) + (rows === null ? "" : ` · ${text("Rows received: {count}", { count: rows })}`));
  tick();
  const clock = setInterval(tick, 100), worker = new Worker(WORKER);
  yasqe.emit("query", new Request(asked.url, { method: "POST", body }), controller);
  const answer = await new Promise((resolve) => {
    controller.signal.addEventListener("abort", () => resolve({ type: "cancelled" }));
    worker.onerror = () => resolve({ type: "failed", message: text("The response could not be read.") });
    worker.onmessage = ({ data }) => (data.type === "progress" ? (rows = data.rows) : resolve(data));
    worker.postMessage({ url: asked.url, body: body.toString(), accept: asked.accept, most: KEPT });
  });
  worker.terminate(); // this ends its request too
  clearInterval(clock);
  bar.cancel.hidden = true;
  bar.root.dataset.state = answer.type;
  bar.time.textContent = "";
  bar.state.textContent = answer.type === "cancelled" ? text("Cancelled after {time}", { time: seconds(since) }) : "";
  if (answer.type === "cancelled") return undefined;
  const response = answer.type === "failed" ? new Error(answer.message) : { ...answer, content: answer.content || "\n", headers: new Headers(answer.headers) };
  yasqe.emit("queryResponse", response, Math.round(performance.now() - since));
  return response;
}

// Above a result: how many rows it has if not all are shown, and links to the whole result as a file or an export. A result that the browser
// stored belongs to the query in the editor, and to the release *now*.
export function describe(tab, now) {
  const yasr = tab.getYasr(), bar = barOf(tab), { results } = yasr;
  if (bar.root.dataset.state === "running") return;
  bar.files.replaceChildren();
  if (!results || results.hasError()) return;
  const table = results.getType() === "json", rows = total(results), shown = Math.min(SHOWN[yasr.drawnPlugin] ?? KEPT, KEPT);
  bar.state.textContent = table && rows > shown ? text("The first {shown} of {rows} rows are shown.", { shown, rows }) : results.res?.cut ? text("Only the beginning of the response is shown.") : "";
  const { query, release } = bar.query ? bar : { query: tab.getYasqe().getValue(), release: now }, kind = table ? 0 : 1;
  const formats = [...(document.querySelectorAll("#format optgroup")[kind]?.querySelectorAll("option") ?? [])];
  const address = (format) => `/sparql?${new URLSearchParams({ query, format, ...(release ? { release } : {}) })}`;
  const links = formats.map(({ value, label }) => element("a", { href: address(value), download: `${tab.getName()}.${value}`, rel: "nofollow" }, label));
  if (links.length && links[0].getAttribute("href").length < ADDRESS) bar.files.append(element("span", {}, text("Download all results:")), ...links);
  if (!release) bar.files.append(exporting(query, formats[0]?.value ?? "csv"));
}

function exporting(query, format) {
  const hidden = (name, value) => element("input", { type: "hidden", name, value });
  const form = element("form", { action: "/exports", method: "post", target: "_blank" }, hidden("query", query), hidden("format", format));
  form.append(element("button", { type: "submit", class: "export" }, text("Run as an export")));
  return form;
}
