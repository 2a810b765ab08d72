import type { Log } from "#base/log";
import type { DaemonConfig } from "./config.ts";

type Proxies = DaemonConfig["proxies"];
type Environment = Record<string, string | undefined>;

/** What the flags leave open, the environment says, in either spelling. */
export function proxiesOf(flags: Proxies, environment: Readonly<Environment>): Proxies {
  const either = (name: string) => environment[name] || (environment[name.toLowerCase()] ?? "");
  return {
    http: flags.http || either("HTTP_PROXY"),
    https: flags.https || either("HTTPS_PROXY"),
    no: flags.no || either("NO_PROXY"),
  };
}

/** As dockerd does: whatever goes out of this process from now on, goes through them. */
export function useProxies({ http, https, no }: Proxies, environment: Environment, log?: Log): void {
  for (const [name, value] of Object.entries({ HTTP_PROXY: http, HTTPS_PROXY: https, NO_PROXY: no })) {
    if (value === "") continue;
    for (const spelling of [name, name.toLowerCase()]) {
      const before = environment[spelling] || value;
      const change = { name: spelling, "old-value": withoutPassword(before), "new-value": withoutPassword(value) };
      if (before !== value) log?.warn(change, "overriding existing proxy variable with value from configuration");
      environment[spelling] = value;
    }
  }
}

/** What `docker info` and logs may show of them. */
export const withoutCredentials = ({ http, https, no }: Proxies): Proxies => ({
  http: withoutPassword(http),
  https: withoutPassword(https),
  no,
});

function withoutPassword(proxy: string): string {
  if (!URL.canParse(proxy)) return proxy;
  const { username, password } = new URL(proxy);
  return username === "" && password === "" ? proxy : proxy.replace(/\/\/[^/]*@/, "//xxxxx:xxxxx@");
}
