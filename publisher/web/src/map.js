// Map: points of geo:asWKT, and circles on countries (M49 areas) by a number. Land outlines are built in; no tiles are fetched.
import land from "world-atlas/land-110m.json";
import places from "places";
import { feature } from "topojson-client";
import { drawn, element, short, total, visible, web } from "./dom.js";
import { direction, text } from "./texts.js";

const MOST = 5000; // marks
const POINT = /^\s*(?:<[^>]*>\s*)?POINT\s*(?:Z\s*)?\(\s*(-?[\d.eE+-]+)\s+(-?[\d.eE+-]+)/i;
const AREA = /^https?:\/\/metadata\.un\.org\/sdg\/codes\/geoArea\/(\d+)$/;
const WIDTH = 960, HEIGHT = 440;
const x = (longitude) => ((longitude + 180) / 360) * WIDTH;
const y = (latitude) => ((84 - latitude) / 144) * HEIGHT; // from 84 north to 60 south

function spot(cell) {
  if (!cell) return null;
  const point = cell.type !== "uri" && POINT.exec(cell.value);
  if (point) return { at: [Number(point[1]), Number(point[2])], area: false };
  const area = cell.type === "uri" && AREA.exec(cell.value);
  const at = area && places[area[1].padStart(3, "0")];
  return at ? { at, area: true } : null;
}

function outline() {
  // Land that crosses the date line goes on beyond the edge, and is drawn again at the other one.
  const ring = (points) => {
    let turns = 0;
    const whole = points.map(([longitude, latitude], at) => {
      const step = at ? longitude - points[at - 1][0] : 0;
      turns += step > 180 ? -360 : step < -180 ? 360 : 0;
      return [longitude + turns, latitude];
    });
    const beyond = (shift) => whole.some(([longitude]) => Math.abs(longitude + shift) < 180);
    const path = (shift) => `M${whole.map(([longitude, latitude]) => `${x(longitude + shift).toFixed(1)},${y(latitude).toFixed(1)}`).join("L")}Z`;
    return [0, 360, -360].filter(beyond).map(path).join("");
  };
  return feature(land, land.objects.land).features.flatMap(({ geometry }) => (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates)).flat().map(ring).join("");
}

export class Atlas {
  priority = 7;
  label = text("Map");
  helpReference = undefined;

  constructor(yasr) {
    this.yasr = yasr;
  }

  get where() {
    const rows = (this.yasr.results?.getBindings() ?? []).slice(0, 500);
    return (this.yasr.results?.getVariables() ?? []).find((name) => rows.some((row) => spot(row[name])));
  }

  canHandleResults() {
    return this.where !== undefined;
  }

  getIcon() {
    return drawn("svg", { viewBox: "0 0 100 100", "aria-hidden": "true", class: "stocktake-globe", stroke: "currentColor", "stroke-width": 7 }, drawn("circle", { cx: 50, cy: 50, r: 42 }), drawn("ellipse", { cx: 50, cy: 50, rx: 18, ry: 42 }), drawn("path", { d: "M8 50H92" }));
  }

  draw() {
    const name = this.where, names = this.yasr.results.getVariables();
    const rows = this.yasr.results.getBindings(), placed = rows.map((row) => [row, spot(row[name])]).filter(([, it]) => it);
    const sized = names.find((other) => other !== name && placed.some(([row]) => row[other]) && placed.every(([row]) => !row[other] || (row[other].type !== "uri" && row[other].value !== "" && Number.isFinite(Number(row[other].value)))));
    const most = sized ? Math.max(...placed.map(([row]) => Number(row[sized]?.value ?? 0)), 1e-12) : 1;
    const drawing = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": text("Map of places: {count}", { count: placed.length }) }, drawn("path", { class: "land", d: outline() }));
    for (const [row, { at, area }] of placed.slice(0, MOST)) {
      const size = sized ? 3 + 13 * Math.sqrt(Math.max(Number(row[sized]?.value ?? 0), 0) / most) : area ? 7 : 3.5;
      const description = names.filter((other) => row[other] && (other !== name || area)).map((other) => `${other}: ${visible(row[other].type === "uri" ? short(row[other].value) : row[other].value)}`).join("\n");
      const mark = drawn("circle", { cx: x(at[0]).toFixed(1), cy: y(at[1]).toFixed(1), r: size.toFixed(1) }, drawn("title", {}, description));
      const link = names.map((other) => row[other]).find((cell) => cell?.type === "uri" && web(cell.value));
      drawing.append(link ? drawn("a", { href: link.value, target: "_blank", rel: "noopener" }, mark) : mark);
    }
    zoomable(drawing);
    const left = rows.length - placed.length, all = total(this.yasr.results);
    const notes = [text("Rows with a place: {count} of {rows}.", { count: placed.length, rows: rows.length })];
    if (all > rows.length) notes.unshift(text("The first {shown} of {rows} rows are shown.", { shown: rows.length, rows: all }));
    if (sized) notes.push(text("Circles by {name}.", { name: sized }));
    if (placed.length > MOST) notes.push(text("The first {count} are shown.", { count: MOST }));
    if (left && placed.some(([, it]) => it.area)) notes.push(text("Regions and areas without a boundary are not shown."));
    notes.push(text("Scroll to zoom, drag to move. Land: Natural Earth."));
    this.yasr.resultsEl.append(element("figure", { class: "stocktake-map" }, drawing, element("figcaption", { class: "quiet", dir: direction }, notes.join(" "))));
  }
}

// The view is a rectangle of the drawing; the wheel makes it smaller around the pointer, dragging moves it.
function zoomable(drawing) {
  let view = [0, 0, WIDTH, HEIGHT], held = null;
  const show = () => {
    drawing.setAttribute("viewBox", view.join(" "));
    drawing.setAttribute("font-size", view[2] / 80);
  };
  const scaled = (event) => [(event.offsetX / drawing.clientWidth) * view[2], (event.offsetY / drawing.clientHeight) * view[3]];
  drawing.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [dx, dy] = scaled(event), by = event.deltaY < 0 ? 0.8 : 1.25;
    const wide = Math.min(WIDTH, Math.max(WIDTH / 60, view[2] * by)), ratio = wide / view[2];
    view = [view[0] + dx * (1 - ratio), view[1] + dy * (1 - ratio), wide, view[3] * ratio];
    show();
  }, { passive: false });
  drawing.addEventListener("pointerdown", (event) => (held = scaled(event)));
  drawing.addEventListener("pointermove", (event) => {
    if (!held || !event.buttons) return;
    const [dx, dy] = scaled(event);
    view = [view[0] + held[0] - dx, view[1] + held[1] - dy, view[2], view[3]];
    held = scaled(event);
    show();
  });
  drawing.addEventListener("pointerup", () => (held = null));
}
