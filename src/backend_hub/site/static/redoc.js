"use strict";

const sans = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif';
const place = document.getElementById("redoc");
window.Redoc.init(
  place.dataset.openapi,
  {
    hideDownloadButton: false,
    expandResponses: "200,201",
    theme: {
      colors: { primary: { main: "#0b6b5d" } },
      typography: {
        fontFamily: sans,
        headings: { fontFamily: sans, fontWeight: "600" },
        code: { fontFamily: 'ui-monospace, Menlo, Consolas, "Liberation Mono", monospace' },
      },
    },
  },
  place,
);
