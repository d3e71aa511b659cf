// Where a country's circle stands on the map: the middle of its largest piece of land, by its M49 code.
import { readFileSync } from "node:fs";
import { feature } from "topojson-client";

// Land that crosses the date line goes on beyond it, or Fiji would lie in the Atlantic.
function whole(ring) {
  let turns = 0;
  return ring.map(([longitude, latitude], at) => {
    const step = at ? longitude - ring[at - 1][0] : 0;
    turns += step > 180 ? -360 : step < -180 ? 360 : 0;
    return [longitude + turns, latitude];
  });
}

function area(ring) {
  let sum = 0;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) sum += ring[j][0] * ring[i][1] - ring[i][0] * ring[j][1];
  return sum / 2;
}

function middle(ring) {
  const size = area(ring);
  if (!size) return ring[0];
  let x = 0, y = 0;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const cross = ring[j][0] * ring[i][1] - ring[i][0] * ring[j][1];
    x += (ring[j][0] + ring[i][0]) * cross;
    y += (ring[j][1] + ring[i][1]) * cross;
  }
  return [x / (6 * size), y / (6 * size)];
}

export function centres() {
  const world = JSON.parse(readFileSync("node_modules/world-atlas/countries-50m.json", "utf8"));
  const found = {};
  for (const { id, geometry } of feature(world, world.objects.countries).features) {
    if (!id || !geometry) continue;
    const rings = (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates).map(([outer]) => whole(outer));
    const largest = rings.reduce((one, other) => (Math.abs(area(other)) > Math.abs(area(one)) ? other : one));
    const [longitude, latitude] = middle(largest);
    found[id] = [((longitude + 540) % 360) - 180, latitude].map((number) => Math.round(number * 100) / 100);
  }
  return found;
}
