import { EngineError } from "#base/errors";
import { shortId } from "#base/ids";
import type { LogConfig } from "#runtime";
import type { ContainerRecord } from "#storage";
import { parseBytes } from "./size-units.ts";

function sizeOf(text: string, base: 1000 | 1024): number {
  const bytes = parseBytes(text, base);
  if (bytes === undefined) throw new EngineError("invalidParameter", `invalid size: '${text}'`);
  return bytes;
}

/** moby daemon/logger/jsonfilelog and daemon/logger/local. */
const keptByDefault = {
  "json-file": { size: "-1", files: 1 },
  local: { size: "20m", files: 5 },
} as const;

/** What the shim has to know of `HostConfig.LogConfig`. */
export function shimLogConfig(record: ContainerRecord, path: string): LogConfig {
  const { Type: driver, Config } = record.hostConfig.LogConfig;
  const options = Config ?? {};
  if (driver === "none") return { driver: "none" };
  if (driver !== "json-file" && driver !== "local") {
    throw new EngineError(
      "system",
      `failed to create task for container: failed to initialize logging driver: logger: no log driver named '${driver}' is registered`,
    );
  }
  const attrs = logAttributes(record, options);
  const kept = keptByDefault[driver];
  const size = options["max-size"] ?? kept.size;
  const buffer = options["max-buffer-size"];
  return {
    driver,
    path,
    maxSizeBytes: size === "-1" ? 0 : sizeOf(size, 1000),
    maxFiles: Number(options["max-file"] ?? kept.files),
    compress: options.compress === "true",
    mode: options.mode === "non-blocking" ? "non-blocking" : "blocking",
    ...(buffer === undefined ? {} : { maxBufferBytes: sizeOf(buffer, 1024) }),
    ...(Object.keys(attrs).length === 0 ? {} : { attrs }),
  };
}

/** `--log-opt labels=…,env=…,tag=…` put into every line (moby daemon/logger/loginfo.go, ExtraAttributes). */
function logAttributes(record: ContainerRecord, options: Readonly<Record<string, string>>): Record<string, string> {
  const labels = record.config.Labels ?? {};
  const env = Object.fromEntries((record.config.Env ?? []).map((entry) => splitAtFirst(entry, "=")));
  const attributes: Record<string, string> = {};
  const take = (source: Readonly<Record<string, string>>, names: string | undefined, pattern: string | undefined) => {
    const wanted = names?.split(",") ?? [];
    const regex = pattern === undefined ? undefined : new RegExp(pattern);
    for (const [name, value] of Object.entries(source)) {
      if (wanted.includes(name) || regex?.test(name) === true) attributes[name] = value;
    }
  };
  take(labels, options.labels, options["labels-regex"]);
  take(env, options.env, options["env-regex"]);
  if (options.tag !== undefined && options.tag !== "") attributes.tag = expandTag(options.tag, record);
  return attributes;
}

function expandTag(template: string, record: ContainerRecord): string {
  const values: Readonly<Record<string, string>> = {
    ID: shortId(record.id),
    FullID: record.id,
    Name: record.name,
    ImageID: shortId(record.imageId ?? ""),
    ImageFullID: record.imageId ?? "",
    ImageName: record.config.Image,
    DaemonName: "docker",
  };
  return template.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (whole, name: string) => values[name] ?? whole);
}

function splitAtFirst(text: string, separator: string): [string, string] {
  const cut = text.indexOf(separator);
  return cut < 0 ? [text, ""] : [text.slice(0, cut), text.slice(cut + 1)];
}
