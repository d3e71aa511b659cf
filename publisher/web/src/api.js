// The API page: Swagger UI over our own /openapi.json. Without this script the page lists the endpoints.
import "swagger-ui-dist/swagger-ui.css";
import "./api.css";
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";

const home = document.getElementById("swagger-ui");

// Swagger UI has links inside buttons, examples that no key scrolls, and a choice of servers without a name. Its landmark and headings are changed by build.mjs.
function makeAccessible() {
  for (const link of home.querySelectorAll("button a[href]")) link.removeAttribute("href"); // the button opens the operation and names it in the URL
  for (const text of home.querySelectorAll("pre.microlight:not([tabindex])")) text.tabIndex = 0; // long examples scroll
  for (const part of home.querySelectorAll("[role=region]:not([aria-label])")) if (part.id) part.setAttribute("aria-label", part.id); // each operation has one
  for (const choice of home.querySelectorAll("select:not([aria-label])")) choice.setAttribute("aria-label", choice.id || "select");
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const followColours = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followColours);
followColours();

new MutationObserver(makeAccessible).observe(home, { childList: true, subtree: true });

SwaggerUI({
  dom_id: "#swagger-ui",
  url: "/openapi.json",
  deepLinking: true, // the URL's fragment names the operation
  defaultModelsExpandDepth: -1, // each response shows its own schema
  validatorUrl: null, // no other host is asked
  onComplete: () => {
    document.getElementById("endpoints").hidden = true;
  },
});
