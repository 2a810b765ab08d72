/** daemon.json: read, compared with the flags, and refused in dockerd's words (moby daemon/config/config.go). */
import { readFileSync } from "node:fs";
import { errnoOf, messageOf } from "#base/errors";
import { fileOnlyKeys, type Option, options } from "./options.ts";
import { display, isObject, type Setting } from "./values.ts";

/** Key of daemon.json → value. */
export type Settings = ReadonlyMap<string, Setting>;

/** Their maps are values of their own; every other object in the file is a group whose members count as if they stood outside. */
const wholeMaps = new Set(["log-opts", "runtimes", "default-ulimits", "features", "builder", "default-network-opts"]);

const byKey: ReadonlyMap<string, Option> = new Map(options.map((option) => [option.key, option]));
const flagNames: ReadonlySet<string> = new Set(options.map(({ flag }) => flag));

/** undefined when there is no such file and nobody asked for it by name. */
export function readConfigFile(path: string, flags: Settings, isRequired: boolean): Settings | undefined {
  try {
    const text = readText(path);
    return text === "" ? new Map() : parseConfig(text, flags);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" && !isRequired) return undefined;
    const reason = errnoOf(error) === "ENOENT" ? `open ${path}: no such file or directory` : messageOf(error);
    throw new Error(`unable to configure the Docker daemon with file ${path}: ${reason}`, { cause: error });
  }
}

/** UTF-8 with or without a byte order mark, or UTF-16 with one: editors on Windows write both. */
function readText(path: string): string {
  const bytes = readFileSync(path);
  const utf16 = { "255,254": "utf-16le", "254,255": "utf-16be" }[bytes.subarray(0, 2).join()];
  return new TextDecoder(utf16 ?? "utf-8", { fatal: true }).decode(bytes).trim();
}

export function parseConfig(text: string, flags: Settings): Settings {
  const config = parseJson(text);
  const found = flatten(config);
  const unknown = [...found.keys()].filter((key) => !byKey.has(key) && !flagNames.has(key) && !fileOnlyKeys.has(key));
  if (unknown.length > 0) {
    throw new Error(`the following directives don't match any configuration option: ${unknown.join(", ")}`);
  }
  refuseConflicts(found, flags);
  const settings = new Map<string, Setting>();
  for (const [key, value] of [...Object.entries(config).filter(([key]) => byKey.has(key)), ...found]) {
    const option = byKey.get(key);
    // A flag's name where the file wants another ("host" for "hosts") is let through and means nothing, as in dockerd.
    if (option === undefined || value === null) continue;
    if (!option.kind.isJson(value)) throw wrongType(value, option);
    settings.set(key, value);
  }
  return settings;
}

function parseJson(text: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new Error(`invalid JSON: ${messageOf(error)}`, { cause: error });
  }
  if (!isObject(parsed)) {
    throw new Error(
      `invalid JSON: json: cannot unmarshal ${jsonType(parsed)} into Go value of type map[string]interface {}`,
    );
  }
  return parsed;
}

function flatten(config: Record<string, unknown>): Map<string, unknown> {
  const isGroup = ([key, value]: [string, unknown]) => isObject(value) && !wholeMaps.has(key);
  return new Map(
    Object.entries(config).flatMap((entry) =>
      isGroup(entry) && isObject(entry[1]) ? Object.entries(entry[1]) : [entry],
    ),
  );
}

function refuseConflicts(found: ReadonlyMap<string, unknown>, flags: Settings): void {
  const conflicts = [...flags].flatMap(([key, value]) => {
    const other = found.get(key);
    if (other === undefined || key === "runtimes") return [];
    const [fromFlag, fromFile] = [value, other as Setting].map((side) => masked(key, display(side)));
    return [`${key}: (from flag: ${fromFlag}, from file: ${fromFile})`];
  });
  if (conflicts.length === 0) return;
  const what = "the following directives are specified both as a flag and in the configuration file";
  throw new Error(`${what}: ${conflicts.sort().join(", ")}`);
}

/** Proxies may carry a password. */
const masked = (key: string, value: string): string =>
  key.endsWith("-proxy") ? value.replace(/\/\/[^@/]*@/, "//xxxxx:xxxxx@") : value;

function wrongType(value: unknown, { key, kind }: Option): Error {
  const isFraction = typeof value === "number" && !Number.isInteger(value);
  const type = isFraction && kind.goType === "int" ? `number ${value}` : jsonType(value);
  return new Error(
    `invalid JSON: json: cannot unmarshal ${type} into Go struct field Config.${key} of type ${kind.goType}`,
  );
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}
