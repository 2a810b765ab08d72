/** Options of the local driver: what it mounts (moby volume/local). */

import { EngineError, messageOf } from "#base/errors";
import { parseSize } from "#base/size-units";
import { goQuote } from "#base/strconv";
import { hostOf } from "./network-address.ts";

export type DriverOptions = Readonly<Record<string, string>>;

const known = ["type", "o", "device", "size"];
const needs: readonly (readonly [option: string, others: readonly string[]])[] = [
  ["device", ["type"]],
  ["type", ["device"]],
  ["o", ["device", "type"]],
];

/** Throws 400 in dockerd's words. */
export function checkDriverOptions(options: DriverOptions): void {
  const { type, device = "", size } = options;
  for (const option of Object.keys(options)) {
    if (!known.includes(option)) refuse(`invalid option: ${goQuote(option)}`);
  }
  if (type === "cifs" && /:\d+$/.test(hostOf(device))) {
    refuse("port not allowed in CIFS device URL, include 'port' in 'o='");
  }
  if (size !== undefined) checkSize(size);
  for (const [option, others] of needs) {
    if (options[option] === undefined) continue;
    const missing = others.find((other) => options[other] === undefined);
    if (missing !== undefined) refuse(`missing required option: ${goQuote(missing)}`);
  }
}

function checkSize(size: string): void {
  if (sizeOf(size) !== 0) refuse("quota size requested but no quota support");
}

function sizeOf(size: string): number {
  try {
    return parseSize(size);
  } catch (error) {
    return refuse(messageOf(error));
  }
}

function refuse(message: string): never {
  throw new EngineError("invalidParameter", message);
}

/** Whether the volume is a mount of its own, and not just a folder. */
export const isMounted = (options: DriverOptions | null): options is DriverOptions =>
  Boolean(options?.type) || Boolean(options?.device);
