import { defineConfig, type Plugin, type UserConfig } from "vite";

// The build runs three times into one folder. First `--mode api`: the programming interface under
// its fixed name mka.js, with the worker and the wasm file beside it (with a hash in their names,
// so that a host may cache them for ever). Then `--mode element`: the custom element under its
// fixed name mka-lab.js, and embed.html around it; what they load later lies in element/. Then the
// page. Both import mka.js as any other page would.

const common: UserConfig = {
  base: "./",
  build: {
    target: "es2022",
    modulePreload: false, // the polyfill would be an inline script, which the page's policy forbids
    assetsInlineLimit: 0, // no data: addresses: the policy allows none
  },
};

/**
 * mka.js sends the worker the address of the wasm file; the bindings' default would copy it again.
 */
const wasmIsGiven: Plugin = {
  name: "wasm-is-given",
  transform: (code, id) =>
    id.endsWith("/wasm/mka_lab.js") ? code.replace("new URL('mka_lab_bg.wasm', import.meta.url)", "undefined") : undefined,
};

const api: UserConfig = {
  ...common,
  build: {
    ...common.build,
    rollupOptions: {
      input: { mka: "src/api/mka.ts" },
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "mka.js", assetFileNames: "[name]-[hash][extname]" },
    },
  },
  worker: {
    format: "es",
    plugins: () => [wasmIsGiven],
    rollupOptions: { output: { entryFileNames: "mka-worker-[hash].js" } },
  },
};

/** A build beside the first one: its modules lie in `folder`, from where mka.js is one step up. */
const beside = (folder: string, input: Record<string, string>): UserConfig => ({
  ...common,
  publicDir: false, // copied by the first run
  build: {
    ...common.build,
    emptyOutDir: false,
    assetsDir: folder,
    rollupOptions: {
      input,
      external: ["#mka"],
      preserveEntrySignatures: "strict",
      output: {
        paths: { "#mka": "../mka.js" },
        entryFileNames: ({ name }) => (name === "mka-lab" ? "mka-lab.js" : `${folder}/[name]-[hash].js`),
      },
    },
  },
});

const element = beside("element", { "mka-lab": "src/element/mka-lab.ts", embed: "embed.html" });
// These support light-dark(). What replaces it for older ones follows the element's own colour
// scheme, but not the page's.
element.build = { ...element.build, cssTarget: ["chrome123", "firefox120", "safari17.5"] };

const builds: Record<string, UserConfig> = { api, element };

const page = beside("assets", { index: "index.html" });
// Nothing imports the page. What its later parts share with it stays in one file, which is smaller.
(page.build as { rollupOptions: { preserveEntrySignatures: string | false } }).rollupOptions.preserveEntrySignatures = false;

export default defineConfig(({ mode }) => builds[mode] ?? page);
