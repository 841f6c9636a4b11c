import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";

/** Built for development: only there StrictMode does what it does. */
export default {
  plugins: [react()],
  define: { "process.env.NODE_ENV": '"development"' },
  resolve: { alias: { "@catchment-collector/tracker": fileURLToPath(new URL("../../../../clients/js/index.js", import.meta.url)) } },
};
