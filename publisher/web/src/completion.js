// Completion: prefixes, classes, properties and concepts of what is published here, by their names as well as by their addresses.
const MOST = 60;
const OBJECT = /^[\p{L}\d_-]+$/u;

// The text before the cursor: the beginning of an address, or a word with or without a prefix. The editor's own tokens end at each error.
function begun(yasqe) {
  const { line, ch } = yasqe.getDoc().getCursor();
  const [text] = yasqe.getDoc().getLine(line).slice(0, ch).match(/<[^<>\s"{}|^`\\]*$|[\p{L}\d_:.-]*$/u);
  return { text, from: { line, ch: ch - text.length }, to: { line, ch } };
}

// The text before the cursor as the beginning of an address, and as words to search in labels.
function typed(yasqe, prefixes) {
  const text = begun(yasqe).text.replace(/^</, ""), at = text.indexOf(":");
  const space = at >= 0 && !text.includes("//") ? { ...prefixes, ...yasqe.getPrefixesFromQuery() }[text.slice(0, at)] : undefined;
  return { start: space ? space + text.slice(at + 1) : text, space, rest: (space ? text.slice(at + 1) : text).toLowerCase() };
}

function found(items, { start, space, rest }) {
  const within = (it) => it.iri.startsWith(space) && (it.iri.slice(space.length).toLowerCase().includes(rest) || it.label.toLowerCase().includes(rest));
  const fits = (it) => (space ? within(it) : it.iri.startsWith(start) || it.label.toLowerCase().includes(rest));
  const begins = (it) => ` ${it.label.toLowerCase()}`.includes(` ${rest}`); // education before reduce
  const rank = (it) => (it.iri.startsWith(start) || it.label.toLowerCase().startsWith(rest) ? 0 : begins(it) ? 1000 : 2000) + it.label.length;
  return items.filter(fits).sort((one, other) => rank(one) - rank(other)).slice(0, MOST);
}

function written(iri, prefixes) {
  for (const [prefix, space] of Object.entries(prefixes)) {
    const rest = iri.startsWith(space) ? iri.slice(space.length) : "";
    if (/^[A-Za-z_][\w-]*$|^\d[\w-]*$/.test(rest)) return `${prefix}:${rest}`;
  }
  return `<${iri}>`;
}

export function complete(Yasqe, known) {
  let words = { prefixes: {}, classes: [], properties: [], concepts: [] };
  known.then((it) => (words = it));
  const labels = new Map();
  const register = (name, kind, isValidCompletionPosition) =>
    Yasqe.registerAutocompleter({
      name,
      bulk: false,
      autoShow: true,
      persistenceId: null,
      isValidCompletionPosition,
      get: async (yasqe) => {
        await known;
        return found(words[kind], typed(yasqe, words.prefixes)).map(({ iri, label }) => (labels.set(iri, label), iri));
      },
      postProcessSuggestion: (_, __, iri) => iri,
      postprocessHints: (yasqe, hints) =>
        hints.map((hint) => {
          const iri = hint.text, prefixes = yasqe.getPrefixesFromQuery(), all = { ...words.prefixes, ...prefixes };
          const text = written(iri, all);
          const prefix = text.startsWith("<") ? null : text.slice(0, text.indexOf(":"));
          const pick = (editor) => {
            const { from, to } = begun(editor);
            editor.replaceRange(text, from, to, "complete");
            if (prefix && !(prefix in prefixes)) editor.addPrefixes({ [prefix]: all[prefix] });
          };
          return { ...hint, text, displayText: labels.get(iri) ? `${text}  ${labels.get(iri)}` : text, hint: pick };
        }),
    }, true);

  const token = (yasqe) => yasqe.getCompleteToken();
  const variable = (it) => it.string[0] === "?" || it.string[0] === "$" || it.string[0] === '"';
  const before = (yasqe, it) => yasqe.getPreviousNonWsToken(yasqe.getDoc().getCursor().line, it);
  const typing = (yasqe, it) => ["a", "rdf:type", "rdfs:domain", "rdfs:range"].includes(before(yasqe, it)?.state.lastProperty) && !predicate(it);
  const predicate = (it) => it.state.possibleCurrent.includes("a");

  register("class", "classes", (yasqe) => {
    const it = token(yasqe);
    return it.string.trim() !== "" && !variable(it) && typing(yasqe, it);
  });
  register("property", "properties", (yasqe) => {
    const it = token(yasqe);
    return it.string.trim() !== "" && !variable(it) && predicate(it);
  });
  register("concept", "concepts", (yasqe) => {
    const it = token(yasqe), words = it.string.trim();
    const object = OBJECT.test(words) || words.includes(":") || words.startsWith("<");
    return words.length > 1 && object && !variable(it) && !predicate(it) && !typing(yasqe, it) && within(yasqe, it);
  });
  Yasqe.registerAutocompleter({
    name: "prefix",
    bulk: false,
    autoShow: true,
    persistenceId: null,
    isValidCompletionPosition: (yasqe) => {
      const it = token(yasqe), line = yasqe.getDoc().getLine(yasqe.getDoc().getCursor().line);
      return /^\s*PREFIX\s+\w*:?$/i.test(line.slice(0, it.end));
    },
    get: async (yasqe, it) => {
      await known;
      const start = it.string.trim().replace(/^prefix\s*/i, "").replace(/:$/, "");
      return Object.keys(words.prefixes).filter((name) => name.startsWith(start)).sort().map((name) => `${name}: <${words.prefixes[name]}>`);
    },
  }, true);
}

// Whether a value may follow: after a predicate, or in a list of VALUES or IN.
function within(yasqe, it) {
  const cursor = yasqe.getDoc().getCursor();
  const text = yasqe.getDoc().getRange({ line: Math.max(0, cursor.line - 3), ch: 0 }, { line: cursor.line, ch: it.start });
  return /(?:[\w-]*:[\w-]+|<[^<>\s]*>|[)(,={])\s*$/.test(text) && text.includes("{") || /[{]/.test(yasqe.getDoc().getRange({ line: 0, ch: 0 }, cursor));
}
