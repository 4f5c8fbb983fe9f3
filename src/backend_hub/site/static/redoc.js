"use strict";

const place = document.getElementById("redoc");
window.Redoc.init(
  place.dataset.openapi,
  {
    hideDownloadButton: false,
    expandResponses: "200,201",
    theme: {
      colors: { primary: { main: "#0b6b5d" } },
      typography: {
        fontFamily: 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif',
        headings: { fontFamily: 'Charter, Cambria, Georgia, "Liberation Serif", serif' },
        code: { fontFamily: 'ui-monospace, Menlo, Consolas, "Liberation Mono", monospace' },
      },
    },
  },
  place,
);
