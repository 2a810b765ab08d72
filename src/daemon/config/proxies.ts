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
export function useProxies({ http, https, no }: Proxies, environment: Environment): void {
  const values = { HTTP_PROXY: http, HTTPS_PROXY: https, NO_PROXY: no };
  for (const [name, value] of Object.entries(values)) if (value !== "") environment[name] = value;
}

/** What `docker info` may show of them. */
export function withoutCredentials(proxy: string): string {
  if (!URL.canParse(proxy)) return proxy;
  const { username, password } = new URL(proxy);
  return username === "" && password === "" ? proxy : proxy.replace(/\/\/[^@/]*@/, "//xxxxx:xxxxx@");
}
