/** `-H` addresses, as moby's opts/hosts.go reads them. */

const defaultSocket = "/var/run/docker.sock";
const plainPort = 2375;
const tlsPort = 2376;

/** `unix:///path`, `tcp://address:port` or `fd://name`. Throws moby's reason. */
export function parseHost(text: string, hasTls: boolean): string {
  const host = text.trim();
  if (host === "") return hasTls ? `tcp://localhost:${tlsPort}` : `unix://${defaultSocket}`;
  const [, proto = "tcp", address = host] = /^([^:]*):\/\/(.*)$/s.exec(host) ?? [];
  switch (proto) {
    case "tcp":
      return parseTcp(host, address);
    case "unix":
      if (address.includes("://")) throw invalid(host, `invalid unix address: ${address}`);
      return `unix://${address === "" ? defaultSocket : address}`;
    case "fd":
      return host;
    default:
      throw invalid(host, `unsupported proto '${proto}'`);
  }
}

function parseTcp(host: string, address: string): string {
  const [, name = "", port, path = ""] = /^(\[[^\]]*\]|[^:/]*)(?::([^/]*))?(\/.*)?$/.exec(address) ?? [];
  if (path !== "") throw invalid(host, "should not contain a path element");
  if (port !== undefined && port !== "" && !(Number.isInteger(Number(port)) && Number(port) > 0)) {
    throw invalid(host, `invalid port: ${port}`);
  }
  return `tcp://${name === "" ? "localhost" : name}:${port === undefined || port === "" ? plainPort : port}`;
}

const invalid = (host: string, reason: string): Error => new Error(`invalid bind address (${host}): ${reason}`);

/** Without repetitions, sorted: the order in which dockerd opens them. */
export function normalizeHosts(hosts: readonly string[], hasTls: boolean): string[] {
  const wanted = hosts.length === 0 ? [""] : hosts;
  return [...new Set(wanted.map((host) => parseHost(host, hasTls)))].sort();
}
