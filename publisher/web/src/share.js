// Links to a query. A link names the release, so that everybody who opens it sees the same results.
import { element } from "./dom.js";
import { direction, text } from "./texts.js";

const releases = () => JSON.parse(document.getElementById("yasgui").dataset.releases || "[]");

export function linked(yasgui, release) {
  const parameters = { query: yasgui.getTab().getQuery(), ...(release ? { release } : {}) };
  return `${location.origin}${location.pathname}#${new URLSearchParams(parameters)}`;
}

// The choice of a release above the editor; without releases there is no choice.
export function sharing(yasgui, state, settle) {
  const bar = element("div", { class: "row", id: "asked-of", dir: direction });
  const known = releases(), given = new URLSearchParams(location.hash.slice(1)).get("release") ?? "";
  if (/^\d{1,9}$/.test(given)) state.release = given;
  if (given && !known.includes(Number(given))) known.unshift(Number(given));
  if (known.length) {
    const options = [["", text("current data")], ...known.map((number) => [String(number), `${text("Release")} ${number}`])];
    const select = element("select", { id: "release" }, ...options.map(([value, label]) => element("option", { value, ...(value === state.release ? { selected: "" } : {}) }, label)));
    select.addEventListener("change", () => {
      state.release = select.value;
      settle();
    });
    bar.append(element("label", { for: "release" }, text("Query data of")), select);
  }
  const out = element("input", { id: "link", readonly: "", dir: "ltr", "aria-label": text("Link to this query"), hidden: "" });
  const status = element("span", { class: "quiet", role: "status" });
  const share = element("button", { type: "button", id: "share" }, text("Share"));
  share.addEventListener("click", async () => {
    const pinned = state.release || (known.length ? String(Math.max(...known)) : "");
    out.value = linked(yasgui, pinned);
    out.hidden = false;
    out.select();
    const copied = await navigator.clipboard?.writeText(out.value).then(() => true, () => false);
    const message = pinned ? text("Link copied. It will always show the results of release {release}.", { release: pinned }) : text("Link copied. It runs the query on current data: there is no release yet.");
    status.textContent = copied ? message : text("Link to this query");
  });
  bar.append(share, out, status);
  document.getElementById("yasgui").before(bar);
}
