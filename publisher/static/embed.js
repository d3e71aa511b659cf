// A button beside each embed code and citation that copies it; a citation is copied when it is opened. Without this script the text is selected and
// copied by hand.
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
  const citation = code.closest("details.cite");

  citation?.addEventListener("toggle", () => citation.open && button.click());
}

// A link beside each drawing that saves it as PNG at twice its size. Without this script the drawing is saved as SVG.
for (const drawing of document.querySelectorAll("a[data-drawing]")) {
  const png = document.createElement("a");

  png.href = drawing.href;
  png.rel = "nofollow";
  png.textContent = "PNG";
  png.addEventListener("click", async (event) => {
    event.preventDefault();
    const image = new Image();
    image.src = drawing.href;
    try {
      await image.decode();
    } catch {
      location.assign(drawing.href); // shows the server's message
      return;
    }
    const canvas = document.createElement("canvas");
    canvas.width = 2 * image.naturalWidth;
    canvas.height = 2 * image.naturalHeight;
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => {
      const file = document.createElement("a");
      file.href = URL.createObjectURL(blob);
      file.download = `${new URL(drawing.href).pathname.split("/").slice(2).join("-")}.png`;
      file.click();
      setTimeout(() => URL.revokeObjectURL(file.href), 10_000);
    }, "image/png");
  });
  drawing.after(" · ", png);
}
