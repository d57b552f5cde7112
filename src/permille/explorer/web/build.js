// Bundles the page without the parts of its libraries that no chart uses: node build.js OUT META

import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { world } from "./world.js";

/** @type {[what: RegExp, instead: string][]} modules, and what stands in for them */
const LEAN = [
  [/plot\/src\/index\.js$/, "lean/marks.js"],
  [
    /plot\/src\/(projection|time|legends|scales\/(schemes|temporal|diverging))\.js$/,
    "lean/plot.js",
  ],
  [/plot\/src\/(marks\/tip|interactions\/pointer|transforms\/bin|marker)\.js$/, "lean/plot.js"],
  [/plot\/src\/curve\.js$/, "lean/curve.js"],
  [/\/(d3-time-format|d3-color|d3-format|d3-interpolate)\//, "lean/d3.js"],
  [/\/isoformat\//, "lean/plot.js"],
];
/** The map takes d3-geo itself; of d3, for Plot, it is left out. */
const GEO = /\/d3-geo\//;
const D3 = /\/node_modules\/d3\//;
const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** @type {import("esbuild").Plugin} */
const lean = {
  name: "lean",
  setup(builder) {
    // Curves that nothing uses go too, once it is known that making one does
    // nothing else.
    builder.onLoad({ filter: /\/d3-shape\/dist\// }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      return { contents: source.replace(/= \(function /g, "= /* @__PURE__ */ (function ") };
    });
    // What the map needs of its package, which has more and other codes.
    builder.onLoad({ filter: /[\\/]world-atlas[\\/]countries-110m\.json$/ }, () => ({
      contents: JSON.stringify(world()),
      loader: "json",
    }));
    builder.onResolve({ filter: /./ }, async ({ path, pluginData, ...how }) => {
      // builder.resolve asks every plug-in again, this one too
      // (https://esbuild.github.io/plugins/#resolve).
      if (pluginData === "asked" || how.kind === "entry-point") return undefined;
      const { importer, namespace, resolveDir, kind, with: attributes } = how;
      const found = await builder.resolve(path, {
        importer,
        namespace,
        resolveDir,
        kind,
        with: attributes,
        pluginData: "asked",
      });
      const [to, from] = [found.path, importer].map((file) => file.replaceAll("\\", "/"));
      const instead =
        LEAN.find(([what]) => what.test(to))?.[1] ??
        (GEO.test(to) && D3.test(from) ? "lean/d3.js" : undefined);
      // Otherwise esbuild keeps a stand-in that nothing uses, for what it might do when it is
      // loaded (https://esbuild.github.io/plugins/#on-resolve-results).
      return instead ? { path: here(instead), sideEffects: false } : found;
    });
  },
};

const [out, meta] = argv.slice(2);
const common = /** @type {const} */ ({
  bundle: true,
  minify: true,
  // Otherwise esbuild escapes Chinese, in half as many bytes again.
  charset: "utf8",
  // The licences are in licences.json, whole, and About shows them.
  legalComments: "none",
  logLevel: "warning",
  target: "es2020",
});
/** @type {import("esbuild").BuildOptions} */
const script = { ...common, plugins: [lean] };
// In a file, everything is in one script: a page that was opened from a disk may import no modules,
// because file addresses are never of one origin (MDN, Using modules on the web).
const { metafile } = await build({
  ...script,
  entryPoints: [here("whole.js")],
  outfile: `${out}/explorer.js`,
  format: "iife",
  metafile: true,
});
// From a server, a view is loaded when it is opened. The names of the parts are their digests.
await build({
  ...script,
  entryPoints: [here("modules.js")],
  outdir: out,
  entryNames: "[name]",
  chunkNames: "part-[hash]",
  format: "esm",
  splitting: true,
});
await build({ ...common, entryPoints: [here("style.css")], outfile: `${out}/explorer.css` });
// Of the whole script: its packages are those of every part.
writeFileSync(meta, JSON.stringify(metafile));
