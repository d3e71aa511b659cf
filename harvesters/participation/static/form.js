// Show the messages of the rules beside the fields of a question while a person types. The page works without it.
const PAUSE = 700; // milliseconds without typing before the answer is checked
const form = document.querySelector("form[data-check]");
let timer = 0;
let request = null;

async function check() {
  request?.abort();
  request = new AbortController();
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch(form.dataset.check, { method: "POST", body, signal: request.signal });
  if (!answer.ok) return;
  const { messages } = await answer.json();
  for (const line of form.querySelectorAll("[data-live]")) {
    const own = messages.filter((message) => message.field === line.dataset.live);
    line.textContent = own.map((message) => message.text).join(" ");
    line.classList.toggle("fault", own.some((message) => message.severity === "Violation"));
  }
  form.elements.seen.value = messages.length ? "yes" : "";
}

form?.addEventListener("input", () => {
  form.elements.seen.value = "";
  clearTimeout(timer);
  timer = setTimeout(() => check().catch(() => {}), PAUSE);
});
