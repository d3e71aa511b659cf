// Links: they hold the query, and pin the release that it was asked of, so that who opens one sees the same answer.
import { element } from "./dom.js";
import { direction, text } from "./texts.js";

const releases = () => JSON.parse(document.getElementById("yasgui").dataset.releases || "[]");

export function linked(yasgui, release) {
  const given = { query: yasgui.getTab().getQuery(), ...(release ? { release } : {}) };
  return `${location.origin}${location.pathname}#${new URLSearchParams(given)}`;
}

// Above the editor: of which state the question is asked. Without releases there is nothing to choose.
export function sharing(yasgui, state, settle) {
  const bar = element("div", { class: "row", id: "asked-of", dir: direction });
  const known = releases(), given = new URLSearchParams(location.hash.slice(1)).get("release") ?? "";
  if (/^\d{1,9}$/.test(given)) state.release = given;
  if (given && !known.includes(Number(given))) known.unshift(Number(given));
  if (known.length) {
    const options = [["", text("what is published now")], ...known.map((number) => [String(number), `${text("Release")} ${number}`])];
    const select = element("select", { id: "release" }, ...options.map(([value, label]) => element("option", { value, ...(value === state.release ? { selected: "" } : {}) }, label)));
    select.addEventListener("change", () => {
      state.release = select.value;
      settle();
    });
    bar.append(element("label", { for: "release" }, text("Ask of")), select);
  }
  const out = element("input", { id: "link", readonly: "", dir: "ltr", "aria-label": text("Link to this query"), hidden: "" });
  const told = element("span", { class: "quiet", role: "status" });
  const share = element("button", { type: "button", id: "share" }, text("Share"));
  share.addEventListener("click", async () => {
    const pinned = state.release || (known.length ? String(Math.max(...known)) : "");
    out.value = linked(yasgui, pinned);
    out.hidden = false;
    out.select();
    const copied = await navigator.clipboard?.writeText(out.value).then(() => true, () => false);
    const holds = pinned ? text("The link holds the query, and the release that answers it: {release}.", { release: pinned }) : text("The link holds the query. There is no release yet, so what is published on the day it is opened answers it.");
    told.textContent = copied ? `${text("Copied.")} ${holds}` : holds;
  });
  bar.append(share, out, told);
  document.getElementById("yasgui").before(bar);
}
