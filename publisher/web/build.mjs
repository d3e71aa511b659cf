// Bundles the query page and the API page into the folder that is named: query.js, worker.js, query.css, api.js, api.css, edition.js, fonts.css, fonts-zh.css, fonts/, NOTICE.txt, sbom.cdx.json; and draws the world for the maps: world.json. No host is asked.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { atlas } from "./atlas.mjs";
import { centres } from "./centres.mjs";
import { fonts } from "./fonts.mjs";

const out = process.argv[2];

// Yasgui's table writes a <style> element, which the Content-Security-Policy forbids; the same rules as a constructed sheet are allowed.
const INLINE = /o\.type = "text\/css", o\.gripid = r, o\.styleSheet \? o\.styleSheet\.cssText = n : o\.appendChild\(document\.createTextNode\(n\)\), e\.appendChild\(o\);/g;
const CONSTRUCTED = `if (!(globalThis.gripSheets ||= new Set()).has(r)) {
  globalThis.gripSheets.add(r);
  o = new CSSStyleSheet();
  o.replaceSync(n);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, o];
}`;

// Yasgui has no translations. Its texts that this page shows pass through stocktakeText (src/texts.js), which knows them in the reader's language.
const TEXTS = ["Add a new tab", "Add tab", "Close Tab", "Close other tabs", "Close tab", "Copy Tab", "Download result", "Ellipse", "False", "Filter query results", "New Tab", "Page size: ", "Rename Tab", "Run query", "Show all", "Simple view", "True", "Undo close Tab"];
const PATTERNS = [
  [INLINE, CONSTRUCTED],
  [/e > 0 \? e \+ "" : "All"/g, 'e > 0 ? e + "" : stocktakeText("All")'],
  [/this\.label = "Response"/g, 'this.label = stocktakeText("Response")'],
  [/`Shows \$\{(\w)\} view`/g, "$1"],
  ...TEXTS.map((text) => [new RegExp(`"${text}"`, "g"), `stocktakeText("${text}")`]),
];
function replaceAll(text, [pattern, replacement]) {
  if (!pattern.test(text)) throw new Error(`A bundled package has changed: nothing matches ${pattern}`);
  return text.replace(pattern, replacement);
}

const yasgui = {
  name: "yasgui",
  setup(it) {
    it.onLoad({ filter: /yasgui\.esm\.js$/ }, ({ path }) => ({ contents: PATTERNS.reduce(replaceAll, readFileSync(path, "utf8")), loader: "js" }));
  },
};

// Swagger UI has a main landmark and a first heading of its own; the page has both already.
const HEADINGS = [
  [/"main",\{id:"operations"/g, '"div",{id:"operations"'],
  [/"h1",\{className:"title"\}/g, '"h2",{className:"title"}'],
];
const swagger = {
  name: "swagger",
  setup(it) {
    it.onLoad({ filter: /swagger-ui-es-bundle\.js$/ }, ({ path }) => ({ contents: HEADINGS.reduce(replaceAll, readFileSync(path, "utf8")), loader: "js" }));
  },
};

const places = {
  name: "places",
  setup(it) {
    it.onResolve({ filter: /^places$/ }, () => ({ path: "places", namespace: "places" }));
    it.onLoad({ filter: /.*/, namespace: "places" }, () => ({ contents: JSON.stringify(centres()), loader: "json" }));
  },
};

const result = await build({
  entryPoints: { api: "src/api.js", edition: "src/edition.js", query: "src/query.js", worker: "src/worker.js" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife", // a plain script: it runs after the page is there, by defer
  target: "es2022",
  legalComments: "none", // NOTICE.txt has them
  metafile: true,
  loader: { ".json": "json", ".wasm": "binary" },
  plugins: [places, swagger, yasgui],
  logLevel: "error",
});

writeFileSync(join(out, "world.json"), JSON.stringify(atlas()));
fonts(out);

// Licences: of the packages whose files went in, and of those that Yasgui's own build holds already.
function packages() {
  const names = new Set();
  for (const file of Object.keys(result.metafile.inputs)) {
    const found = file.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)?.at(-1);
    if (found) names.add(found.replace("node_modules/", ""));
  }
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8")).packages;
  for (const [path, it] of Object.entries(lock)) if (path && !it.dev && !it.devOptional) names.add(path.split("node_modules/").at(-1));
  names.delete("@types/codemirror");
  return [...names].filter((name) => !name.startsWith("@types/")).sort();
}

const read = (name) => JSON.parse(readFileSync(join("node_modules", name, "package.json"), "utf8"));
const licenceOf = (description) => (typeof description.license === "string" ? description.license : description.license?.type);

function notice(name) {
  const folder = join("node_modules", name), description = read(name);
  const texts = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).sort();
  const licence = licenceOf(description) ?? "see below";
  const body = texts.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
  return `${name} ${description.version}\nLicence: ${licence}\n${description.homepage ?? ""}\n\n${body || `(The package brings no text of its licence; ${licence} is what it declares.)`}\n`;
}

const head = "The query page (query.js, query.css), the API page (api.js, api.css), the query page of editions (edition.js) and the fonts (fonts/) are made of these packages, each under its own licence.\n";
writeFileSync(join(out, "NOTICE.txt"), [head, ...packages().map(notice)].join(`\n${"-".repeat(78)}\n\n`));

// The same packages as a software bill of materials: https://cyclonedx.org/docs/1.6/json/. npm's own command is missing in npm 9, and its output differs each time.
function component(name) {
  const { version } = read(name), licence = licenceOf(read(name));
  return { type: "library", name, version, purl: `pkg:npm/${name.replace("@", "%40")}@${version}`, ...(licence ? { licenses: [{ license: { name: licence } }] } : {}) };
}

const materials = { bomFormat: "CycloneDX", specVersion: "1.6", version: 1, components: packages().map(component) };
writeFileSync(join(out, "sbom.cdx.json"), `${JSON.stringify(materials, null, 2)}\n`);
