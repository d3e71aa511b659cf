// Worker: queries the endpoint, reads the response in a thread of its own, and passes on its first rows and their number.
import { Graph, Table } from "./rows.js";

const EVERY = 200; // milliseconds between two reports

self.onmessage = async ({ data: { url, body, accept, most } }) => {
  try {
    self.postMessage(await asked(url, body, accept, most));
  } catch (error) {
    self.postMessage({ type: "failed", message: error.message });
  }
};

async function asked(url, body, accept, most) {
  const headers = { Accept: accept, "Content-Type": "application/x-www-form-urlencoded" };
  const response = await fetch(url, { method: "POST", headers, body });
  if (!response.ok) return { type: "failed", message: (await response.text()) || response.statusText };
  const type = response.headers.get("Content-Type") ?? "", table = type.includes("sparql-results+json");
  const reading = table ? new Table(most) : new Graph(most);
  let size = 0, reported = performance.now();
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    reading.push(value);
    size += value.length;
    if (performance.now() - reported > EVERY) {
      reported = performance.now();
      self.postMessage({ type: "progress", rows: table ? reading.rows : null, size });
    }
  }
  const { ok, status, statusText } = response;
  return { type: "answered", ok, status, statusText, headers: [...response.headers], content: await reading.text(), cut: Boolean(reading.cut) };
}
