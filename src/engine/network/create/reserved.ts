import { readFileSync } from "node:fs";
import { errnoOf } from "#base/errors";
import { type Bridges, type Prefix, parseAddress, prefixOf, widthOf } from "#network";
import { resolvConfPath } from "../etc/files.ts";
import { parseResolvConf } from "../etc/resolv-conf.ts";

/** What no network gets unless it is asked for: where the host is connected to, and its name servers, wherever they are. */
export const reservedPrefixes = ({ bridges }: { readonly bridges: Bridges }): Prefix[] => [
  ...bridges.onLinkPrefixes(),
  ...nameservers(),
];

/** In one go with the choice of a range, which nobody may get between. */
function nameservers(): Prefix[] {
  let text: string;
  try {
    text = readFileSync(resolvConfPath, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
  const addresses = parseResolvConf(text).nameservers.map(parseAddress);
  return addresses.flatMap((address) => (address === undefined ? [] : [prefixOf(address, widthOf(address.family))]));
}
