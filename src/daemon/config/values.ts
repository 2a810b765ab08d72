/** The kinds of values that dockerd's options have: how each is written on the command line, in daemon.json, and in messages. */
import { isIP } from "node:net";
import { parseSize } from "#base/size-units";
import { goQuote, parseBool, parseInt10, parseInteger } from "#base/strconv";

export type Setting = string | boolean | number | readonly Setting[] | { readonly [key: string]: Setting };

export interface Kind {
  /** As the help names it; "" for a flag without value. */
  readonly valueName: string;
  /** Go's type, for "cannot unmarshal string into Go struct field Config.mtu of type int". */
  readonly goType: string;
  readonly isJson: (value: unknown) => value is Setting;
  /** Adds one occurrence of the flag to those before it. Throws Go's reason. */
  readonly add: (before: Setting | undefined, text: string) => Setting;
}

const isString = (value: unknown): value is string => typeof value === "string";
const isStrings = (value: unknown): value is string[] => Array.isArray(value) && value.every(isString);
export const isObject = (value: unknown): value is { [key: string]: Setting } =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const entriesOf = (value: Setting | undefined): { [key: string]: Setting } => (isObject(value) ? value : {});

export const text: Kind = { valueName: "string", goType: "string", isJson: isString, add: (_, value) => value };

export const flag: Kind = {
  valueName: "",
  goType: "bool",
  isJson: (value): value is boolean => typeof value === "boolean",
  add: (_, value) => parseBool(value),
};

export const integer: Kind = {
  valueName: "int",
  goType: "int",
  isJson: (value): value is number => typeof value === "number" && Number.isInteger(value),
  add: (_, value) => parseInteger(value),
};

/** Bytes, with the suffixes of docker/go-units: 64m, 1GiB, 0.5g. */
export const bytes: Kind = {
  valueName: "bytes",
  goType: "opts.MemBytes",
  isJson: (value): value is string | number => isString(value) || typeof value === "number",
  add: (_, value) => parseSize(value),
};

export const address: Kind = {
  valueName: "ip",
  goType: "net.IP",
  isJson: isString,
  add: (_, value) => {
    if (value !== "" && isIP(value.trim()) === 0) throw new Error(`failed to parse IP: ${goQuote(value)}`);
    return value.trim();
  },
};

/** Commas separate, and the flag may be repeated. */
export const addresses: Kind = {
  valueName: "ipSlice",
  goType: "[]net.IP",
  isJson: isStrings,
  add: (before = [], value) => {
    const parts = value.split(",").map((part) => part.trim());
    const wrong = parts.find((part) => isIP(part) === 0);
    if (wrong !== undefined) throw new Error(`invalid string being converted to IP address: ${wrong}`);
    return [...listOf(before), ...parts];
  },
};

const listOf = (value: Setting): readonly Setting[] => (Array.isArray(value) ? value : []);

export const list = (check: (value: string) => void = () => undefined): Kind => ({
  valueName: "list",
  goType: "[]string",
  isJson: isStrings,
  add: (before = [], value) => {
    check(value);
    return [...listOf(before), value];
  },
});

export const map: Kind = {
  valueName: "map",
  goType: "map[string]string",
  isJson: (value): value is Record<string, string> => isObject(value) && Object.values(value).every(isString),
  add: (before, value) => {
    const [key, item] = cut(value, "=");
    return { ...entriesOf(before), [key]: item ?? "" };
  },
};

/** `--feature name[=false]`. */
export const switches: Kind = {
  valueName: "map",
  goType: "map[string]bool",
  isJson: (value): value is Record<string, boolean> =>
    isObject(value) && Object.values(value).every((item) => typeof item === "boolean"),
  add: (before, value) => {
    const [key, item] = cut(value, "=");
    return { ...entriesOf(before), [key]: item === undefined || parseBool(item) };
  },
};

/** `root=key=value`: options of each network driver. */
export const mapOfMaps: Kind = {
  valueName: "mapmap",
  goType: "map[string]map[string]string",
  isJson: (value): value is Record<string, Record<string, string>> =>
    isObject(value) && Object.values(value).every((item) => map.isJson(item)),
  add: (before, value) => {
    const [root, pair] = cut(value, "=");
    const [key, item] = cut(pair ?? "", "=");
    if (pair === undefined || item === undefined) {
      throw new Error(`invalid value ${goQuote(value)} for map option, should be root-key=key=value`);
    }
    const all = entriesOf(before);
    return { ...all, [root]: { ...entriesOf(all[root]), [key]: item } };
  },
};

export const pools: Kind = {
  valueName: "pool-options",
  goType: "ipamutils.NetworkToSplit",
  isJson: (value): value is Setting[] =>
    Array.isArray(value) &&
    value.every((item) => isObject(item) && isString(item.base) && typeof item.size === "number"),
  add: (before = [], value) => [...listOf(before), parsePool(value)],
};

function parsePool(value: string): Setting {
  const pool: { base: string; size: number } = { base: "", size: 0 };
  for (const field of value.split(",")) {
    const [key, item] = cut(field.toLowerCase(), "=");
    if (item === undefined) throw new Error(`invalid field '${field}' must be a key=value pair`);
    if (key === "base") pool.base = item;
    else if (key !== "size") throw new Error(`unexpected key '${key}' in '${field}'`);
    else {
      if (!/^[+-]?\d+$/.test(item)) throw new Error(`invalid size value: ${goQuote(value)} (must be integer)`);
      pool.size = Number(item);
    }
  }
  return pool;
}

export const ulimits: Kind = {
  valueName: "ulimit",
  goType: "map[string]*container.Ulimit",
  isJson: (value): value is Record<string, Setting> => isObject(value) && Object.values(value).every(isObject),
  add: (before, value) => {
    const limit = parseUlimit(value);
    return { ...entriesOf(before), [limit.Name]: { ...limit } };
  },
};

const ulimitNames = new Set(
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(" "),
);

/** docker/go-units ParseUlimit: `name=soft[:hard]`, -1 for no limit. */
function parseUlimit(value: string): { Name: string; Soft: number; Hard: number } {
  const [name, limits] = cut(value, "=");
  if (limits === undefined) throw new Error(`invalid ulimit argument: ${value}`);
  if (!ulimitNames.has(name)) throw new Error(`invalid ulimit type: ${name}`);
  const parts = limits.split(":");
  if (parts.length > 2) {
    throw new Error(`too many limit value arguments - ${limits}, can only have up to two, \`soft[:hard]\``);
  }
  const [soft = 0, hard = soft] = parts.map(parseInt10);
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    const shown = soft === -1 ? `soft: -1 (unlimited), hard: ${hard}` : `${soft} > ${hard}`;
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: ${shown}`);
  }
  return { Name: name, Soft: soft, Hard: hard };
}

export const runtimes: Kind = {
  valueName: "runtime",
  goType: "map[string]system.Runtime",
  isJson: (value): value is Record<string, Setting> => isObject(value) && Object.values(value).every(isObject),
  add: (before, value) => {
    const [left, right] = cut(value, "=");
    const name = left.trim().toLowerCase();
    const path = right?.trim() ?? "";
    if (name === "" || path === "") throw new Error(`invalid runtime argument: ${value}`);
    const known = entriesOf(before);
    if (known[name] !== undefined) throw new Error(`runtime '${name}' was already defined`);
    return { ...known, [name]: { path } };
  },
};

/** strings.Cut. */
export function cut(value: string, separator: string): [string, string | undefined] {
  const at = value.indexOf(separator);
  return at < 0 ? [value, undefined] : [value.slice(0, at), value.slice(at + separator.length)];
}

/** Go's %v. */
export function display(value: Setting): string {
  if (Array.isArray(value)) return `[${value.map(display).join(" ")}]`;
  if (isObject(value)) {
    const items = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${items.map(([key, item]) => `${key}:${display(item)}`).join(" ")}]`;
  }
  return String(value);
}
