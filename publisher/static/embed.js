// A button beside each embed code that copies it. Without this script the code is selected and copied by hand.
"use strict";

for (const code of document.querySelectorAll("textarea[data-copy]")) {
  const button = document.createElement("button");
  const status = document.createElement("span");

  button.type = "button";
  button.textContent = code.dataset.copy;
  status.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    code.select();
    try {
      await navigator.clipboard.writeText(code.value);
    } catch {
      document.execCommand("copy"); // pages without https have no clipboard
    }
    status.textContent = ` ${code.dataset.copied}`;
  });
  code.closest("label").after(button, status);
}
