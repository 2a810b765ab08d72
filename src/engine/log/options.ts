/** --log-driver and --log-opt, as far as dockerd looks at them before a log is opened (moby daemon/logger/factory.go). */
import type { HostConfig } from "#api-schema/container-config";
import { EngineError, messageOf } from "#base/errors";
import { parseSize } from "#base/size-units";
import { goQuote, parseBool } from "#base/strconv";

type Options = Readonly<Record<string, string>>;

export interface LogDefaults {
  readonly driver: string;
  readonly options: Options;
}

/** What every driver takes: how entries get to it, and the copy that is kept for `docker logs` of drivers without reading. */
const commonOptions = new Set([
  "mode",
  "max-buffer-size",
  "cache-disabled",
  "cache-max-size",
  "cache-max-file",
  "cache-compress",
]);

interface Driver {
  readonly options: readonly string[];
  /** dockerd's drivers each have words of their own. */
  readonly unknownOption: (option: string) => string;
}

const drivers: Readonly<Record<string, Driver>> = {
  "json-file": {
    options: ["max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag"],
    unknownOption: (option) => `unknown log opt '${option}' for json-file log driver`,
  },
  local: {
    options: ["max-file", "max-size", "compress"],
    unknownOption: (option) => `unknown log opt '${option}' for log driver local`,
  },
};

export const logDrivers: readonly string[] = Object.keys(drivers);

/** The daemon's driver and options where the request does not name its own. */
export function mergeLogConfig(asked: HostConfig["LogConfig"], defaults: LogDefaults): HostConfig["LogConfig"] {
  const Type = asked.Type === "" ? defaults.driver : asked.Type;
  const inherited = Object.entries(defaults.options).filter(
    ([name]) => Type === defaults.driver || name.startsWith("cache-"),
  );
  const Config = { ...Object.fromEntries(inherited), ...asked.Config };
  checkLogOptions(Type, Config);
  return { Type, Config };
}

/** The daemon's own, when it starts. */
export function checkLogDefaults({ driver, options }: LogDefaults): void {
  if (Object.keys(options).length === 0) return;
  try {
    checkLogOptions(driver, options);
  } catch (error) {
    throw new EngineError("invalidParameter", `failed to set log opts: ${messageOf(error)}`);
  }
}

function checkLogOptions(name: string, options: Options): void {
  if (name === "none") return;
  const { mode = "", "max-buffer-size": bufferSize, "cache-disabled": isUncached = "" } = options;
  if (!["", "blocking", "non-blocking"].includes(mode)) refuse(`logger: logging mode not supported: ${mode}`);
  if (bufferSize !== undefined) {
    if (mode !== "non-blocking") {
      refuse("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    }
    attempt(
      () => parseSize(bufferSize),
      (fault) => `error parsing option max-buffer-size: ${fault}`,
    );
  }
  if (isUncached !== "") {
    attempt(
      () => parseBool(isUncached),
      () => `invalid value for option cache-disabled: ${isUncached}`,
    );
  }
  const driver = Object.hasOwn(drivers, name) ? drivers[name] : undefined;
  if (driver === undefined) throw refused(`error looking up logging plugin ${name}: plugin ${goQuote(name)} not found`);
  const unknown = Object.keys(options).find((option) => !commonOptions.has(option) && !driver.options.includes(option));
  if (unknown !== undefined) refuse(driver.unknownOption(unknown));
}

function attempt(parse: () => unknown, words: (fault: string) => string): void {
  try {
    parse();
  } catch (error) {
    refuse(words(messageOf(error)));
  }
}

function refuse(message: string): never {
  throw refused(message);
}

const refused = (message: string): EngineError => new EngineError("invalidParameter", message);
