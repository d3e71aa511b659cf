// The API page: Swagger UI over our own /openapi.json. Without this script the page lists the endpoints.
import "swagger-ui-dist/swagger-ui.css";
import "./api.css";
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";

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
