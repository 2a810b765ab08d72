import type { ContainerConfig } from "#api-schema/container-config";
import { EngineError } from "#base/errors";
import { configInstructions } from "./config-instructions.ts";
import { parseScript } from "./lines.ts";

const allowed = new Set([
  "cmd",
  "entrypoint",
  "healthcheck",
  "env",
  "expose",
  "label",
  "onbuild",
  "stopsignal",
  "user",
  "volume",
  "workdir",
]);

/** The config after the instructions of `docker commit --change` and `docker import --change`. The argument stays as it is. */
export function applyChanges(config: ContainerConfig, changes: readonly string[]): ContainerConfig {
  if (changes.length === 0) return config;
  const { statements, escapeToken } = parseScript(changes.join("\n"));
  const state = { config: structuredClone(config), escapeToken, hasOwnCmd: false };
  for (const { command } of statements) {
    if (!allowed.has(command.toLowerCase())) {
      throw new EngineError("invalidParameter", `${command} is not a valid change command`);
    }
  }
  for (const statement of statements) configInstructions[statement.command.toLowerCase()]?.(state, statement);
  return state.config;
}
