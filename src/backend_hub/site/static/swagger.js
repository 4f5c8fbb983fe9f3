"use strict";

// Swagger UI has its own dark colours; they follow the reader's system.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

// The document names the hub's public URL. Whoever opened this page under another name of the same
// hub (localhost, say) tries things out here, not there: the policy allows no other origin.
function hereFirst(response) {
  if (response.url && response.url.endsWith("/openapi.json") && response.ok) {
    const document = JSON.parse(response.text);
    document.servers = [{ url: window.location.origin, description: "This hub." }];
    response.text = JSON.stringify(document);
  }
  return response;
}

const place = document.getElementById("swagger-ui");
window.ui = window.SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: place.dataset.openapi,
  oauth2RedirectUrl: window.location.origin + place.dataset.redirect,
  responseInterceptor: hereFirst,
  deepLinking: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  filter: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  syntaxHighlight: { activated: true, theme: "agate" },
  validatorUrl: null, // its badge would send the document's address to swagger.io
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
window.ui.initOAuth({ clientId: "swagger-ui", usePkceWithAuthorizationCodeGrant: true });
