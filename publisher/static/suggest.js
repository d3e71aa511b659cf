// Suggestions below a search field, from /search/suggest: a combobox with a list
// (https://www.w3.org/WAI/ARIA/apg/patterns/combobox/). Without this script the field is a plain search.
"use strict";

const WAIT = 150; // milliseconds of rest between keys before suggestions are asked for

for (const input of document.querySelectorAll("input[data-suggest]")) {
  const list = document.createElement("ul");
  const status = document.createElement("span");
  let options = [];
  let active = -1;
  let timer = 0;
  let request = null;

  list.id = `${input.id}-suggestions`;
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", input.dataset.suggest);
  list.hidden = true;
  status.className = "hidden";
  status.setAttribute("role", "status");
  input.type = "text"; // a search field has a role of its own, which a combobox may not replace
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-expanded", "false");
  input.setAttribute("aria-controls", list.id);
  input.parentElement.classList.add("suggesting");
  input.parentElement.append(list, status);

  function close() {
    clearTimeout(timer);
    request?.abort();
    list.hidden = true;
    options = [];
    list.replaceChildren();
    status.textContent = "";
    select(-1);
    input.setAttribute("aria-expanded", "false");
  }

  function select(index) {
    active = index;
    options.forEach(({ item }, place) => item.setAttribute("aria-selected", String(place === active)));
    if (active < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", options[active].item.id);
    options[active].item.scrollIntoView({ block: "nearest" });
  }

  function show(suggestions) {
    options = suggestions.map((suggestion, place) => {
      const item = document.createElement("li");
      const text = document.createElement("span"); // a topic is named in the language of the page
      const about = document.createElement("span");
      item.id = `${list.id}-${place}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      text.textContent = suggestion.text;
      text.className = "name";
      if (suggestion.language) Object.assign(text, { lang: suggestion.language, dir: "auto" });
      about.className = "quiet";
      about.textContent = suggestion.label + (suggestion.initiatives === null ? "" : ` · ${suggestion.initiatives}`);
      item.append(text, " ", about);
      item.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
      item.addEventListener("click", () => location.assign(suggestion.page));
      return { item, page: suggestion.page };
    });
    list.replaceChildren(...options.map(({ item }) => item));
    list.hidden = !options.length;
    select(-1);
    input.setAttribute("aria-expanded", String(!list.hidden));
    status.textContent = `${input.dataset.suggest}: ${options.length}`;
  }

  async function ask() {
    request?.abort();
    request = new AbortController();
    const parameters = new URLSearchParams({ q: input.value, lang: document.documentElement.lang, format: "json" });
    try {
      const response = await fetch(`/search/suggest?${parameters}`, { signal: request.signal });
      if (response.ok) show((await response.json()).suggestions);
      else close(); // too many requests, or no index yet: the search itself still works
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    const typed = input.value.trim();
    const enough = typed.length > 1 || /[^\u0000-\u024f]/.test(typed); // one Chinese character is a word
    if (!enough || typed.length > 100) return close();
    timer = setTimeout(ask, WAIT);
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && options.length) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      select(active < 0 && step < 0 ? options.length - 1 : active + step === options.length ? -1 : active + step);
    } else if (event.key === "ArrowDown" && input.value.trim()) {
      event.preventDefault();
      ask();
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault();
      location.assign(options[active].page);
    }
  });
  input.addEventListener("blur", close);
}
