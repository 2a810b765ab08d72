/** The kernel's NFS and CIFS take addresses, not names: the engine looks them up before it mounts (moby volume/local). */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { errnoText } from "#base/errno-text";
import { errnoOf, messageOf } from "#base/errors";
import type { DriverOptions } from "./options.ts";

export async function withAddress(options: DriverOptions): Promise<DriverOptions> {
  if (options.type !== "nfs" && options.type !== "cifs") return options;
  const { o = "", device = "" } = options;
  const name = /(?:^|,)addr=([^,]+)/.exec(o)?.[1];
  if (name !== undefined && isIP(name) === 0) {
    return { ...options, o: o.replace(`addr=${name}`, `addr=${await addressOf(name)}`) };
  }
  const host = options.type === "cifs" ? hostOf(device) : "";
  if (host === "" || isIP(host) !== 0) return options;
  return { ...options, device: device.replace(host, await addressOf(host)) };
}

/** `//host/share`. */
export const hostOf = (device: string): string => /^(?:[a-z]+:)?\/\/([^/]+)/i.exec(device)?.[1] ?? "";

async function addressOf(name: string): Promise<string> {
  try {
    return (await lookup(name)).address;
  } catch (error) {
    const reason = errnoOf(error) === "ENOTFOUND" ? "no such host" : errnoText(errnoOf(error) ?? messageOf(error));
    const message = `error resolving passed in network volume address: lookup ${name}: ${reason}`;
    throw new Error(message, { cause: error });
  }
}
