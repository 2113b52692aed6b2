import { defineConfig, type UserConfig } from "vite";

// The build runs twice into one folder. First `--mode api`: the programming interface under its fixed name mka.js, with
// the worker and the wasm file beside it (with a hash in their names, so that a host may cache them for ever). Then the
// page, which imports mka.js as anybody else would.

const common: UserConfig = {
  base: "./",
  build: {
    target: "es2022",
    modulePreload: false, // the polyfill would be an inline script, which the page's policy forbids
    assetsInlineLimit: 0, // no data: addresses: the policy allows none
  },
};

const api: UserConfig = {
  ...common,
  build: {
    ...common.build,
    rollupOptions: {
      input: { mka: "src/api/mka.ts" },
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "mka.js" },
    },
  },
  worker: {
    format: "es",
    rollupOptions: {
      output: { entryFileNames: "mka-worker-[hash].js", assetFileNames: "[name]-[hash][extname]" },
    },
  },
};

const page: UserConfig = {
  ...common,
  publicDir: false, // copied by the first run
  build: {
    ...common.build,
    emptyOutDir: false,
    rollupOptions: {
      input: "index.html",
      external: ["#mka"],
      output: { paths: { "#mka": "../mka.js" } }, // all of the page's modules lie in assets/
    },
  },
};

export default defineConfig(({ mode }) => (mode === "api" ? api : page));
