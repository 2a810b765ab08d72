import { EngineError } from "#base/errors";

const protocols = ["tcp", "udp", "sctp"];
const invalid = (message: string) => new EngineError("invalidParameter", message);

/** `80`, `80/udp`, `8000-8010`: what EXPOSE names, one entry for each port (go-connections/nat, ParsePortSpec). */
export function parseExposed(text: string): string[] {
  const target = text.slice(text.lastIndexOf(":") + 1);
  const [range = "", protocol] = target.split("/");
  if (range === "") throw invalid(`no port specified: ${text}<empty>`);
  const match = /^(\d+)(?:-(\d+))?$/.exec(range);
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : Number(match[2]);
  if (match === null || last < first || last > 65535) throw invalid(`invalid containerPort: ${range}`);
  const name = (protocol || "tcp").toLowerCase();
  if (!protocols.includes(name)) throw invalid(`invalid proto: ${protocol}`);
  return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}/${name}`);
}
