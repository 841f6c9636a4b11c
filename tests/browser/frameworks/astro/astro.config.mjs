import { defineConfig } from "astro/config";

export default defineConfig({
  devToolbar: { enabled: false },
  image: { service: { entrypoint: "astro/assets/services/noop" } },
  redirects: { "/old": "/beans" },
});
