// Roles and labels that Yasgui's elements lack: https://www.w3.org/TR/wai-aria-1.2/#tablist
import { element } from "./dom.js";
import { text } from "./texts.js";

// A tablist may have tabs only, but Yasgui's list has the button that adds one: another element owns the tabs.
function ownTabs(root) {
  const list = root.querySelector(".tabsList");
  const owner = element("div", { role: "tablist", "aria-label": text("Query") });
  const update = () => owner.setAttribute("aria-owns", [...list.querySelectorAll("[role=tab]")].map((tab) => tab.id).join(" "));
  list.removeAttribute("role");
  list.before(owner);
  new MutationObserver(update).observe(list, { childList: true });
  update();
}

function label(root) {
  for (const field of root.querySelectorAll(".CodeMirror textarea:not([aria-label])")) field.setAttribute("aria-label", text("Query"));
  for (const area of root.querySelectorAll(".CodeMirror-scroll[tabindex='-1']")) area.tabIndex = 0; // the keyboard scrolls it
  for (const field of root.querySelectorAll(".tableSizer:not([aria-label])")) field.setAttribute("aria-label", text("Page size: ").trim());
}

// The button that runs the query has a picture alone.
function nameRun(root) {
  for (const button of root.querySelectorAll(".yasqe_queryButton:not(:has(.run-label))")) button.append(element("span", { class: "run-label" }, text("Run query")));
}

export function makeAccessible(root) {
  ownTabs(root);
  new MutationObserver(() => {
    label(root);
    nameRun(root);
  }).observe(root, { childList: true, subtree: true });
  label(root);
  nameRun(root);
}
