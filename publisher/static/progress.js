// Update the front page during the first start, except the search form: the reader may be typing in it.
const INTERVAL = 3000; // milliseconds
const KEPT = "form.search";

// Replace all that is in `element` by what is in `fresh`, except the element `kept` and its ancestors.
function replaceAround(element, fresh, kept, freshKept) {
  const own = [...element.children].find((child) => child.contains(kept));
  const other = [...fresh.childNodes].find((child) => child.contains(freshKept));
  for (const child of [...element.childNodes]) if (child !== own) child.remove();
  const nodes = [...fresh.childNodes];
  own.before(...nodes.slice(0, nodes.indexOf(other)));
  own.after(...nodes.slice(nodes.indexOf(other) + 1));
  if (own !== kept) replaceAround(own, other, kept, freshKept);
}

async function update() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [main, fresh] = [document, page].map((it) => it.getElementById("main"));
  const [kept, freshKept] = [main, fresh].map((it) => it?.querySelector(KEPT));
  if (!kept || !freshKept) return true; // an error page, while the server starts again
  const focused = document.activeElement;
  if (focused === main || !main.contains(focused) || kept.contains(focused)) replaceAround(main, fresh, kept, freshKept);
  return main.querySelector(".start") !== null;
}

function follow() {
  setTimeout(() => update().catch(() => true).then((goes) => goes && follow()), INTERVAL);
}

if (document.querySelector(".start")) follow();
