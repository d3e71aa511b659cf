// Writes the fonts of the pages: fonts/*.woff2, fonts.css (Latin, Greek, Cyrillic, Arabic) and fonts-zh.css (simplified Chinese). A browser loads the slices whose characters a page has.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const ALPHABETS = ["latin", "latin-ext", "vietnamese", "greek", "greek-ext", "cyrillic", "cyrillic-ext"];

// Chinese has one weight: browsers embolden it, and a second would double the largest part.
// Families have names of their own, so that a font of the system with the same name stays reachable.
const SHEETS = {
  "fonts.css": [
    { family: "Stocktake Sans", stem: "noto-sans", weights: [400, 700], subsets: ALPHABETS },
    { family: "Stocktake Sans Arabic", stem: "noto-sans-arabic", weights: [400, 700], subsets: ["arabic"] },
  ],
  "fonts-zh.css": [{ family: "Stocktake Sans SC", stem: "noto-sans-sc", weights: [400] }],
};

function face({ family, stem }, weight, subset, range, out) {
  const folder = join("node_modules", "@fontsource", stem), file = `${stem}-${subset}-${weight}-normal.woff2`;
  copyFileSync(join(folder, "files", file), join(out, "fonts", file));
  const digest = createHash("sha256").update(readFileSync(join(folder, "files", file))).digest("hex").slice(0, 12); // as web/templating.py names it
  return `@font-face{font-family:"${family}";font-weight:${weight};font-display:swap;src:url(fonts/${basename(file, ".woff2")}.${digest}.woff2)format("woff2");unicode-range:${range}}`;
}

function faces(font, out) {
  const ranges = JSON.parse(readFileSync(join("node_modules", "@fontsource", font.stem, "unicode.json"), "utf8"));
  const slices = font.subsets ?? Object.keys(ranges).filter((name) => name.startsWith("["));
  return font.weights.flatMap((weight) => slices.map((name) => face(font, weight, name.replace(/[[\]]/g, ""), ranges[name], out)));
}

export function fonts(out) {
  mkdirSync(join(out, "fonts"), { recursive: true });
  for (const [sheet, all] of Object.entries(SHEETS)) writeFileSync(join(out, sheet), `${all.flatMap((font) => faces(font, out)).join("\n")}\n`);
}
