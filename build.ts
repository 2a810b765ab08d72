/** Bundles the programs and their workers into dist/: one file to load instead of a thousand, and no types to strip at the start. */
import { globSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { build } from "esbuild";
import { readBuildInfo } from "./src/daemon/build-info.ts";

const root = import.meta.dirname;
/** Each becomes dist/<name>.js, where `new Worker` looks for it by its name. */
const workers = globSync(["storage/**/*-worker.ts", "src/**/*-worker.ts"], { cwd: root });
const entries = ["cli/minidockd.ts", "cli/minidock.ts", ...workers];

// Packages that are CommonJS inside ask for these.
const prologue = [
  'import { createRequire as __createRequire } from "node:module";',
  "const require = __createRequire(import.meta.url);",
  "const __filename = import.meta.filename, __dirname = import.meta.dirname;",
];

rmSync("dist", { recursive: true, force: true });
const result = await build({
  absWorkingDir: root,
  entryPoints: entries.map((entry) => ({ in: entry, out: basename(entry, ".ts") })),
  outdir: "dist",
  bundle: true,
  platform: "node",
  target: "node24",
  // Node 24 has `using`; what esbuild 0.28 makes of one in a loop throws an earlier round's error again.
  supported: { using: true },
  format: "esm",
  // What only one command needs is loaded when it is needed; what programs and workers share is there once. All in one
  // folder: code that asks for its neighbours by import.meta.url finds them from anywhere.
  splitting: true,
  chunkNames: "chunk-[hash]",
  // They find their native parts beside themselves.
  external: ["koffi", "better-sqlite3"],
  define: { BUILD_INFO: JSON.stringify(readBuildInfo(root)) },
  banner: { js: prologue.join("\n") },
  // Half the text to keep in memory; names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: "linked",
  sourcesContent: false,
  legalComments: "linked",
  logLevel: "warning",
});
if (result.errors.length > 0) process.exitCode = 1;
