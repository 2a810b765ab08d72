/** The shape of the sources, as docs/architecture.md draws it. Change a table here only with a reason in the commit. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");

/** Which modules a module may import from, through their doors. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  "api-schema": [],
  "src/base": [],
  "src/native": ["src/base"],
  storage: ["src/native", "src/base", "api-schema"],
  "src/registry": ["src/base", "api-schema"],
  "src/runtime": ["src/native", "src/base"],
  "src/network": ["src/native", "src/base"],
  "src/engine": ["storage", "src/registry", "src/runtime", "src/network", "src/native", "src/base", "api-schema"],
  "src/api": ["src/engine", "src/base", "api-schema"],
  "src/daemon": [
    ...["src/api", "src/engine", "storage", "src/registry", "src/runtime", "src/network", "src/native", "src/base"],
    ...["api-schema", "cli"],
  ],
  cli: ["src/daemon", "src/native", "src/base"],
  bench: ["test", "src/base"],
};

/** Specifier → the module whose door it is. `#base/x`, `#api-schema/x` and the like have a door for each file. */
const doors: Readonly<Record<string, string>> = {
  "#api": "src/api",
  "#engine": "src/engine",
  "#storage": "storage",
  "#registry": "src/registry",
  "#runtime": "src/runtime",
  "#network": "src/network",
  "#native": "src/native",
  "#base/": "src/base",
  "#api-schema/": "api-schema",
  "#daemon/": "src/daemon",
  "#cli/": "cli",
  "#test/": "test",
};

/** Packages and node's own modules that belong to one place. */
const reserved: readonly (readonly [specifier: RegExp, places: readonly string[], why: string])[] = [
  [/^koffi$/, ["src/native"], "foreign calls are typed in one place"],
  [/^better-sqlite3$/, ["storage", "cli/check.ts"], "the database has one owner"],
  [/^(fastify|@fastify\/.*|ws)$/, ["src/api"], "HTTP is the edge's business"],
  [/^undici$/, ["src/registry", "src/engine/image"], "only images go out to other machines"],
  [/^tar-stream$/, ["storage", "src/engine/image"], "layers are unpacked by storage, `docker save` archives by images"],
  [/^yaml$/, ["src/engine/cdi"], "CDI specifications are all the YAML that the engine reads"],
  [/^pino$/, ["src/base"], "one log"],
  [
    /^node:child_process$/,
    ["src/runtime/spawner.ts", "src/runtime/apparmor.ts", "src/runtime/run-at-start.ts", "cli"],
    "the daemon never forks for a container",
  ],
];

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources: readonly Source[] = globSync(
  ["src/**/*.ts", "storage/**/*.ts", "api-schema/**/*.ts", "cli/**/*.ts", "bench/**/*.ts"],
  {
    cwd: root,
  },
).map((path) => {
  const text = readFileSync(join(root, path), "utf8");
  const imports = [...text.matchAll(/(?:^|\s)(?:import|from)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
  return { path, text, imports };
});

function moduleOf(path: string): string {
  return Object.keys(allowed).find((name) => path.startsWith(`${name}/`)) ?? "";
}

function doorOf(specifier: string): string | undefined {
  const door = Object.keys(doors).find((name) =>
    name.endsWith("/") ? specifier.startsWith(name) : specifier === name,
  );
  return door === undefined ? undefined : doors[door];
}

const complaints = (find: (source: Source) => string[]): string[] =>
  sources.flatMap((source) => find(source).map((what) => `${source.path}: ${what}`));

test("architecture: modules import one way, through doors", () => {
  const wrong = complaints(({ path, imports }) => {
    const from = moduleOf(path);
    return imports.flatMap((specifier) => {
      if (!specifier.startsWith("#")) return [];
      const to = doorOf(specifier);
      if (to === undefined) return [`${specifier} is no door`];
      // A module with a door for each file may use it from inside as well: the name is the same everywhere.
      if (to === from)
        return specifier.includes("/") ? [] : [`${specifier} leads back into ${from}: use a relative path`];
      return allowed[from]?.includes(to) === true ? [] : [`${from} must not know ${to}`];
    });
  });
  assert.deepEqual(wrong, []);
});

test("architecture: relative paths stay inside their module", () => {
  const wrong = complaints(({ path, imports }) =>
    imports
      .filter((specifier) => specifier.startsWith("."))
      .filter((specifier) => moduleOf(normalize(join(dirname(path), specifier))) !== moduleOf(path)),
  );
  assert.deepEqual(wrong, []);
});

test("architecture: what belongs to one place is used there only", () => {
  const wrong = complaints(({ path, imports }) =>
    imports.flatMap((specifier) =>
      reserved
        .filter(([pattern, places]) => pattern.test(specifier) && !places.some((place) => path.startsWith(place)))
        .map(([, , why]) => `${specifier}: ${why}`),
    ),
  );
  assert.deepEqual(wrong, []);
});

test("architecture: only the daemon and the command line end the process or print", () => {
  const wrong = complaints(({ path, text }) => {
    if (path.startsWith("cli/") || path.startsWith("bench/") || path.startsWith("src/daemon/")) return [];
    return [...text.matchAll(/\b(process\.exit|console\.\w+)\(/g)].map((match) => match[1] ?? "");
  });
  assert.deepEqual(wrong, []);
});

test("architecture: a source file is at most 400 lines, C 600", () => {
  const native = globSync("runtime-native/**/*.{c,h}", { cwd: root }).filter((path) => !isGenerated(path));
  const lengths = [
    ...sources.map(({ path, text }) => ({ path, lines: text.split("\n").length - 1, limit: 400 })),
    ...native.map((path) => ({
      path,
      lines: readFileSync(join(root, path), "utf8").split("\n").length - 1,
      limit: 600,
    })),
  ];
  const long = lengths.filter(({ lines, limit }) => lines > limit).map(({ path, lines }) => `${path}: ${lines} lines`);
  assert.deepEqual(long, []);
});

/** Tables that a script writes from the kernel's headers say so in their first lines. */
function isGenerated(path: string): boolean {
  return /generated/i.test(readFileSync(join(root, path), "utf8").slice(0, 300));
}

test("architecture: files are named in kebab-case", () => {
  const wrong = sources.map(({ path }) => path).filter((path) => !/^[a-z0-9/-]+(\.d)?\.ts$/.test(relative(".", path)));
  assert.deepEqual(wrong, []);
});

test("architecture: a TODO has an issue number", () => {
  const wrong = complaints(({ text }) => [...text.matchAll(/\bTODO\b(?! #\d).*/g)].map((match) => match[0]));
  assert.deepEqual(wrong, []);
});
