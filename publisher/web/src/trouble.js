// Trouble: why there is no answer, as the endpoint tells it (https://www.rfc-editor.org/rfc/rfc9457), and what to do.
import { element, visible } from "./dom.js";
import { direction, text } from "./texts.js";

export class Trouble {
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
    const error = this.yasr.results.getError(), told = problem(error.text);
    const place = told.line ? ` ${text("Line {line}, column {column}.", told)}` : "";
    const lines = [element("p", {}, element("strong", {}, visible(`${told.title ?? error.statusText ?? text("The endpoint does not answer")}.`)), place)];
    if (told.detail) lines.push(element("p", {}, visible(`${told.detail}`)));
    if (told.status === 504 || told.status === 422) lines.push(element("p", {}, element("a", { href: "/exports" }, text("An export has more time."))));
    this.yasr.resultsEl.append(element("div", { class: "notice", role: "alert", dir: direction }, ...lines));
    if (told.line) this.yasr.resultsEl.dispatchEvent(new CustomEvent("fault", { bubbles: true, detail: told }));
  }
}

function problem(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { detail: text };
  }
}
