// Shows why a query failed, from the problem details of the endpoint (https://www.rfc-editor.org/rfc/rfc9457), and what to do.
import { element, visible } from "./dom.js";
import { direction, text } from "./texts.js";

export class QueryError {
  priority = 20;
  hideFromSelection = true;

  constructor(yasr) {
    this.yasr = yasr;
  }

  canHandleResults() {
    return Boolean(this.yasr.results?.getError());
  }

  getIcon() {
    return document.createElement("span");
  }

  draw() {
    const error = this.yasr.results.getError(), details = parseProblem(error.text);
    const place = details.line ? ` ${text("Line {line}, column {column}.", details)}` : "";
    const lines = [element("p", {}, element("strong", {}, visible(`${details.title ?? error.statusText ?? text("The server does not respond")}.`)), place)];
    if (details.detail) lines.push(element("p", {}, visible(`${details.detail}`)));
    if (details.status === 504 || details.status === 422) lines.push(element("p", {}, element("a", { href: "/exports" }, text("An export has a longer time limit."))));
    this.yasr.resultsEl.append(element("div", { class: "notice", role: "alert", dir: direction }, ...lines));
    if (details.line) this.yasr.resultsEl.dispatchEvent(new CustomEvent("syntax-error", { bubbles: true, detail: details }));
  }
}

function parseProblem(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { detail: text };
  }
}
