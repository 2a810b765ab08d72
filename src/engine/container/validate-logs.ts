/** --log-driver and --log-opt (moby daemon/logger/factory.go). */
import type { HostConfig } from "#api-schema/container-config";
import { EngineError } from "#base/errors";
import { parseBytes } from "./size-units.ts";

type LogConfig = HostConfig["LogConfig"];

/** Driver → the options that only it has. */
const driverOptions: Readonly<Record<string, readonly string[]>> = {
  "json-file": ["max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag"],
  local: ["max-file", "max-size", "compress"],
};

/** The daemon's driver and options where the request does not name its own. */
export function mergeLogConfig(
  asked: LogConfig,
  defaults: { driver: string; options: Readonly<Record<string, string>> },
): LogConfig {
  const type = asked.Type === "" ? defaults.driver : asked.Type;
  const options = type === defaults.driver ? { ...defaults.options, ...asked.Config } : { ...asked.Config };
  checkLogOptions(type, options);
  return { Type: type, Config: options };
}

function checkLogOptions(driver: string, options: Readonly<Record<string, string>>): void {
  if (driver === "none") return;
  const refuse = (message: string): never => {
    throw new EngineError("invalidParameter", message);
  };
  const { mode = "", "max-buffer-size": bufferSize, ...own } = options;
  if (!["", "blocking", "non-blocking"].includes(mode)) refuse(`logger: logging mode not supported: ${mode}`);
  if (bufferSize !== undefined) {
    if (mode !== "non-blocking") {
      refuse("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    }
    if (parseBytes(bufferSize) === undefined) {
      refuse(`error parsing option max-buffer-size: invalid size: '${bufferSize}'`);
    }
  }
  const known = driverOptions[driver];
  if (known === undefined) refuse(`error looking up logging plugin ${driver}: plugin "${driver}" not found`);
  for (const option of Object.keys(own)) {
    if (!known?.includes(option)) refuse(`unknown log opt '${option}' for ${driver} log driver`);
  }
}
