import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  // `vite dev` would pack the package's modules together elsewhere, away from the worker and the wasm file beside them.
  optimizeDeps: { exclude: ["mka-lab", "mka-lab/element"] },
});
