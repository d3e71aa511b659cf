// Chart: a bar a row, or a line where the labels are years or dates. What is drawn can be chosen; the numbers stand beside the bars.
import { drawn, element, short, total, visible } from "./dom.js";
import { direction, number as shown, text } from "./texts.js";

export const SHOWN = 200; // bars that a person can still read
const WIDTH = 900, ROW = 26, NAME = 330, HEIGHT = 320;
const number = (cell) => (cell && cell.type !== "uri" && cell.value.trim() !== "" && Number.isFinite(Number(cell.value)) ? Number(cell.value) : null);

export class Chart {
  priority = 8;
  label = text("Chart");
  helpReference = undefined;

  constructor(yasr) {
    this.yasr = yasr;
  }

  get rows() {
    return this.yasr.results?.getBindings() ?? [];
  }

  get numeric() {
    const names = this.yasr.results?.getVariables() ?? [];
    const typed = (name) => this.rows.some((row) => row[name]?.datatype); // a number, not a text of digits such as a code or a year
    const numbers = names.filter((name) => this.rows.some((row) => row[name]) && this.rows.every((row) => !row[name] || number(row[name]) !== null));
    return numbers.sort((one, other) => typed(other) - typed(one) || names.indexOf(other) - names.indexOf(one));
  }

  canHandleResults() {
    return this.rows.length > 0 && this.numeric.length > 0 && (this.yasr.results.getVariables() ?? []).length > 1;
  }

  getIcon() {
    const bars = [[10, 55], [35, 25], [60, 70], [85, 40]].map(([x, y]) => drawn("rect", { x, y, width: 14, height: 100 - y }));
    return drawn("svg", { viewBox: "0 0 110 110", "aria-hidden": "true", fill: "currentColor" }, ...bars);
  }

  draw(settings) {
    const names = this.yasr.results.getVariables();
    const values = this.numeric;
    const value = values.includes(settings?.value) ? settings.value : values[0];
    const others = names.filter((name) => name !== value);
    const worded = (name) => this.rows.some((row) => row[name]?.["xml:lang"]); // a name, not a number or a code
    const texts = others.filter((name) => this.rows.some((row) => row[name]?.type === "literal")).sort((one, other) => worded(other) - worded(one));
    const label = others.includes(settings?.label) ? settings.label : (texts[0] ?? others[0]);
    const choose = (title, chosen, among, key) => {
      const select = element("select", {}, ...among.map((name) => element("option", { value: name, ...(name === chosen ? { selected: "" } : {}) }, name)));
      select.addEventListener("change", () => {
        const next = { label, value, [key]: select.value };
        this.yasr.storePluginConfig("chart", next);
        this.yasr.resultsEl.replaceChildren();
        this.draw(next);
      });
      return element("label", {}, `${title} `, select);
    };
    const pairs = this.rows.slice(0, SHOWN).map((row) => [row[label] ? visible(row[label].type === "uri" ? short(row[label].value) : row[label].value) : "–", number(row[value]) ?? 0]);
    const timely = pairs.length > 2 && pairs.every(([name]) => /^-?\d{4}(-\d\d){0,2}/.test(name));
    const figure = element("figure", { class: "stocktake-chart" }, element("p", { class: "row", dir: direction }, choose(text("Label"), label, others, "label"), choose(text("Value"), value, values, "value")), timely ? line(pairs, value) : bars(pairs, value));
    const rows = total(this.yasr.results);
    if (rows > SHOWN) figure.append(element("figcaption", { class: "quiet", dir: direction }, text("The first {shown} of {rows} rows are shown.", { shown: SHOWN, rows })));
    this.yasr.resultsEl.append(figure);
  }
}

function bars(pairs, title) {
  const most = Math.max(...pairs.map(([, size]) => Math.abs(size)), 1e-12);
  const height = pairs.length * ROW + 8;
  const drawing = drawn("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": text("Bars of {name}", { name: title }) });
  pairs.forEach(([name, size], at) => {
    const y = at * ROW + 4, long = (Math.abs(size) / most) * (WIDTH - NAME - 90);
    const text = name.length > 40 ? `${name.slice(0, 39)}…` : name;
    drawing.append(drawn("g", {}, drawn("title", {}, `${name}: ${shown(size)}`), drawn("text", { x: NAME - 8, y: y + 16, "text-anchor": "end" }, text), drawn("rect", { x: NAME, y: y + 2, width: Math.max(long, 1), height: ROW - 8, rx: 2 }), drawn("text", { x: NAME + long + 6, y: y + 16, class: "size" }, shown(size))));
  });
  return drawing;
}

function line(unsorted, title) {
  const pairs = [...unsorted].sort(([one], [other]) => (one < other ? -1 : 1));
  const most = Math.max(...pairs.map(([, size]) => size), 0) || 1, least = Math.min(...pairs.map(([, size]) => size), 0);
  const x = (at) => 60 + (at / Math.max(pairs.length - 1, 1)) * (WIDTH - 90), y = (size) => HEIGHT - 40 - ((size - least) / (most - least || 1)) * (HEIGHT - 70);
  const drawing = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": text("Line of {name}", { name: title }) });
  for (const size of [least, (least + most) / 2, most]) drawing.append(drawn("line", { x1: 60, x2: WIDTH - 30, y1: y(size), y2: y(size), class: "grid" }), drawn("text", { x: 52, y: y(size) + 5, "text-anchor": "end" }, shown(size)));
  drawing.append(drawn("polyline", { points: pairs.map(([, size], at) => `${x(at)},${y(size)}`).join(" ") }));
  const every = Math.ceil(pairs.length / 12);
  pairs.forEach(([name, size], at) => {
    drawing.append(drawn("circle", { cx: x(at), cy: y(size), r: 4 }, drawn("title", {}, `${name}: ${shown(size)}`)));
    if (at % every === 0) drawing.append(drawn("text", { x: x(at), y: HEIGHT - 14, "text-anchor": "middle" }, name.slice(0, 10)));
  });
  return drawing;
}
