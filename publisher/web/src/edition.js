// The query page of an edition: Oxigraph in the browser over the statements of the release. All is loaded by script elements, and the
// WebAssembly is part of this script: pages that are opened from a disk may not fetch files.
import wasm from "oxigraph/web_bg.wasm";
import { Store, initSync } from "oxigraph";

const MOST = 1000; // rows that are shown
let store = null;

async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function name(term) {
  if (!term) return "";
  return term.termType === "BlankNode" ? `_:${term.value}` : term.value;
}

globalThis.stocktakeQuery = {
  // Resolves when the statements are loaded.
  loaded: new Promise((resolve, reject) => {
    globalThis.stocktakeLoaded = { resolve, reject };
  }),
  async load(packed) {
    try {
      initSync({ module: await WebAssembly.compile(wasm) });
      const loading = new Store();
      loading.load(await unpack(packed), { format: "nt", no_transaction: true });
      store = loading;
      globalThis.stocktakeLoaded.resolve(store.size);
    } catch (error) {
      globalThis.stocktakeLoaded.reject(error);
    }
  },
  // The result of a SELECT or ASK in the JSON format of SPARQL.
  json(query) {
    return store.query(query, { results_format: "application/sparql-results+json" });
  },
  // The names of the columns and the rows, at most MOST, and how many there are.
  table(query) {
    const result = store.query(query);
    if (typeof result === "boolean") return { columns: ["ASK"], rows: [[String(result)]], count: 1 };
    if (!result.length) return { columns: [], rows: [], count: 0 };
    if (result[0] instanceof Map) {
      const columns = [...new Set(result.flatMap((row) => [...row.keys()]))];
      return { columns, rows: result.slice(0, MOST).map((row) => columns.map((column) => name(row.get(column)))), count: result.length };
    }
    const rows = result.slice(0, MOST).map((quad) => [name(quad.subject), name(quad.predicate), name(quad.object)]);
    return { columns: ["subject", "predicate", "object"], rows, count: result.length };
  },
};
