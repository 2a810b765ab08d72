import { join } from "node:path";
import { EngineError, messageOf } from "#base/errors";
import { parseSize } from "#base/size-units";
import { atoi, parseBool } from "#base/strconv";
import type { LogConfig } from "#runtime";
import type { ContainerRecord } from "#storage";
import { logAttributes } from "./attributes.ts";

type Options = Readonly<Record<string, string>>;

/** Those that keep what they are told. */
export type FileDriver = "json-file" | "local";

export const isFileDriver = (driver: string): driver is FileDriver => driver === "json-file" || driver === "local";

/** Where a driver writes, below the container's folder; undefined for one that keeps nothing. */
export function logPathOf(record: Pick<ContainerRecord, "id" | "hostConfig">, directory: string): string | undefined {
  switch (record.hostConfig.LogConfig.Type) {
    case "json-file":
      return join(directory, `${record.id}-json.log`);
    case "local":
      return join(directory, "local-logs", "container.log");
    default:
      return undefined;
  }
}

/**
 * What the shim has to know of `HostConfig.LogConfig`. Values are looked at here, when a log is opened, and not at create: a
 * fault in one is dockerd's answer to `start` and `logs`, in the words of moby's jsonfilelog and local.
 */
export function shimLogConfig(record: ContainerRecord, directory: string): LogConfig {
  const { Type: driver, Config } = record.hostConfig.LogConfig;
  const path = logPathOf(record, directory);
  if (path === undefined || !isFileDriver(driver)) return { driver: "none" };
  const options = Config ?? {};
  const buffer = options["max-buffer-size"];
  const attrs = driver === "json-file" ? logAttributes(record, options, path) : {};
  return {
    driver,
    path,
    ...keptOf(driver, options),
    mode: options.mode === "non-blocking" ? "non-blocking" : "blocking",
    ...(buffer === undefined ? {} : { maxBufferBytes: parseSize(buffer) }),
    ...(Object.keys(attrs).length === 0 ? {} : { attrs }),
  };
}

/** The log whose rotated files are to be compressed; undefined where they are not, or there are none. */
export function compressedLogPath({ id, hostConfig }: ContainerRecord, directory: string): string | undefined {
  const { Type: driver, Config } = hostConfig.LogConfig;
  if (!isFileDriver(driver)) return undefined;
  return keptOf(driver, Config ?? {}).compress ? logPathOf({ id, hostConfig }, directory) : undefined;
}

const keptOf = (driver: FileDriver, options: Options): Kept =>
  driver === "json-file" ? keptJson(options) : keptLocal(options);

type Kept = Required<Pick<LogConfig, "maxSizeBytes" | "maxFiles" | "compress">>;

/** Nobody asked: docs/decisions/0013-logs-rotate.md. Who asks for a size alone gets one file of it, as from dockerd. */
const jsonByDefault = { maxSizeBytes: 100_000_000, maxFiles: 5 } as const;

function keptJson(options: Options): Kept {
  const { "max-size": size, "max-file": files, compress: compressText = "false" } = options;
  const maxSizeBytes = size === undefined ? jsonByDefault.maxSizeBytes : parseSize(size, 1000);
  if (maxSizeBytes <= 0) throw new EngineError("system", "max-size must be a positive number");
  const fewest = size === undefined ? jsonByDefault.maxFiles : 1;
  const maxFiles = files === undefined ? fewest : atoi(files);
  if (maxFiles < 1) throw new EngineError("system", "max-file cannot be less than 1");
  const compress = parseBool(compressText);
  if (compress && (maxFiles === 1 || size === undefined)) {
    throw new EngineError("system", "compress cannot be true when max-file is less than 2 or max-size is not set");
  }
  return { maxSizeBytes, maxFiles, compress };
}

function keptLocal(options: Options): Kept {
  const { "max-size": size = "", "max-file": files = "", compress: compressText = "" } = options;
  const read = <T>(name: string, fallback: T, words: string, parse: () => T): T => {
    if (options[name] === undefined) return fallback;
    try {
      return parse();
    } catch (error) {
      throw new EngineError("invalidParameter", `${words}: ${messageOf(error)}`);
    }
  };
  const maxSizeBytes = read("max-size", 20 << 20, `invalid value for max-size: ${size}`, () => parseSize(size, 1000));
  const maxFiles = read("max-file", 5, `invalid value for max-file: ${files}`, () => atoi(files));
  const compress = read("compress", true, "error reading compress log option", () => parseBool(compressText));
  if (maxSizeBytes < 0) throw new EngineError("invalidParameter", "max size should be a positive number");
  if (maxFiles < 0) throw new EngineError("invalidParameter", "max file count cannot be less than 0");
  if (compress && maxFiles <= 1) {
    throw new EngineError("invalidParameter", "compression cannot be enabled when max file count is 1");
  }
  // 0 bytes: each entry in a file of its own.
  return { maxSizeBytes: Math.max(maxSizeBytes, 1), maxFiles, compress };
}
