// The countries' outlines as paths of a drawing, in the Equal Earth projection (https://equal-earth.com/), by their M49 codes.
import { readFileSync } from "node:fs";
import { geoArea, geoCentroid, geoEqualEarth, geoPath } from "d3-geo";
import { feature } from "topojson-client";

export const WIDTH = 2000, HEIGHT = 974;
const STEP = 3; // units of some 20 km
const DOT = 40; // a country whose outline covers less of the drawing, in square units, gets a dot too

export function atlas() {
  const world = JSON.parse(readFileSync("node_modules/world-atlas/countries-50m.json", "utf8"));
  const projection = geoEqualEarth().precision(0.5).fitSize([WIDTH, HEIGHT], { type: "Sphere" });
  const path = geoPath(projection).digits(1);
  const countries = {};
  for (const it of feature(world, world.objects.countries).features) {
    const d = path(it);
    if (!d) continue;
    const code = it.id ?? `x-${it.properties.name}`;
    const parts = it.geometry.type === "Polygon" ? [it] : it.geometry.coordinates.map((coordinates) => ({ type: "Feature", geometry: { type: "Polygon", coordinates } }));
    const largest = parts.reduce((one, other) => (geoArea(other) > geoArea(one) ? other : one));
    const at = projection(geoCentroid(largest)).map((number) => Math.round(number));
    const known = countries[code];
    countries[code] = known ? { ...known, d: known.d + slim(d) } : { d: slim(d), at, dot: path.area(it) < DOT };
  }
  return { width: WIDTH, height: HEIGHT, sphere: slim(path({ type: "Sphere" })), countries };
}

// Written in whole units and relative to one another; points closer than STEP are one, and of islands that become a point then the first stays.
function slim(d) {
  const rings = d.split("M").filter(Boolean).map((ring) => {
    const points = ring.replace("Z", "").split("L").map((point) => point.split(",").map((number) => Math.round(Number(number))));
    return points.reduce((kept, [x, y]) => (kept.length && Math.hypot(x - kept.at(-1)[0], y - kept.at(-1)[1]) < STEP ? kept : [...kept, [x, y]]), []);
  });
  const whole = rings.filter((ring) => ring.length > 2);
  return (whole.length ? whole : rings.slice(0, 1)).map(written).join("");
}

function written(points) {
  const steps = points.slice(1).map(([x, y], at) => `${x - points[at][0]} ${y - points[at][1]}`.replace(" -", "-"));
  return `M${points[0].join(" ")}l${steps.join(" ").replaceAll(" -", "-") || "0 0"}z`;
}
