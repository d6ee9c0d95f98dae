"use strict";

const sans = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif";
const mono = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace";
const accent = "#0b7285";

Redoc.init(
  "openapi.json",
  {
    downloadFileName: "openapi.json",
    // A schema's texts say what its patterns mean.
    hideSchemaPattern: true,
    jsonSampleExpandLevel: 3,
    requiredPropsFirst: true,
    sanitize: true,
    scrollYOffset: 0,
    theme: {
      spacing: { sectionVertical: 20 },
      colors: {
        primary: { main: accent },
        text: { primary: "#212529" },
        http: { post: accent, get: "#2b8a3e" },
      },
      typography: {
        fontSize: "16px",
        fontFamily: sans,
        headings: { fontFamily: sans, fontWeight: "600" },
        code: { fontFamily: mono, fontSize: "14px", color: "#0b5563" },
        links: { color: accent },
      },
      sidebar: { width: "280px", backgroundColor: "#f8f9fa", textColor: "#343a40" },
      rightPanel: { backgroundColor: "#1b2b31", width: "40%" },
    },
  },
  document.getElementById("page"),
);
