/** The portable half of a container (moby validateContainerConfig). */
import { posix } from "node:path";
import type { ContainerConfig, HealthConfig } from "#api-schema/container-config";
import { EngineError } from "#base/errors";
import { parseSignal } from "../signals.ts";

const refuse = (message: string): never => {
  throw new EngineError("invalidParameter", message);
};

/** Checks, and returns the working directory in its shortest form. */
export function checkConfig(config: ContainerConfig): string {
  const workingDir = cleanWorkingDir(config.WorkingDir);
  if (config.StopSignal !== "") parseSignal(config.StopSignal);
  for (const entry of config.Env ?? []) {
    if (entry === "" || entry.startsWith("=")) refuse(`invalid environment variable: ${entry}`);
  }
  if (config.Healthcheck !== null) checkHealth(config.Healthcheck);
  return workingDir;
}

function cleanWorkingDir(path: string): string {
  if (path === "") return "";
  if (!path.startsWith("/")) refuse(`the working directory '${path}' is invalid, it needs to be an absolute path`);
  return cleanPath(path);
}

/** Go's path.Clean: no trailing slash, unlike node's normalize. */
export function cleanPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

const minDurationNs = 1_000_000;

function checkHealth(health: HealthConfig): void {
  const checkDuration = (name: "Interval" | "Timeout" | "StartPeriod" | "StartInterval"): void => {
    const duration = health[name];
    if (duration !== 0 && duration < minDurationNs) refuse(`${name} in Healthcheck cannot be less than 1ms`);
  };
  checkDuration("Interval");
  checkDuration("Timeout");
  if (health.Retries < 0) refuse("Retries in Healthcheck cannot be negative");
  checkDuration("StartPeriod");
  checkDuration("StartInterval");
}
