import type { Normal } from "./normal.ts";
import type { FuzzRequest } from "./requests.ts";

interface Explanation {
  readonly why: string;
  readonly fits: (request: FuzzRequest, ours: Normal, theirs: Normal) => boolean;
}

const messageOf = ({ body }: Normal): string =>
  typeof body === "object" && body !== null && "message" in body ? String(body.message) : "";

/** Go's server cuts the connection then. */
export const hasPanicked = ({ status, body }: Normal): boolean => status === 0 && body === "socket hang up";

const startErrorOf = ({ body }: Normal): string => (body as { State?: { Error?: string } } | null)?.State?.Error ?? "";

const isTo = (request: FuzzRequest, path: RegExp): boolean => path.test(request.path);

/** Both refuse, in these words or those. */
const refuse = (ours: Normal, theirs: Normal, pattern: RegExp): boolean =>
  ours.status === theirs.status && pattern.test(messageOf(ours)) && pattern.test(messageOf(theirs));

/** Of what a runtime says, only the reason at its end. */
const withoutRuntimesWords = (normal: Normal): string =>
  JSON.stringify(normal).replaceAll(/(OCI runtime (?:create|exec) failed: )(?:[^"\\]|\\.)*(: [^":]*")/g, "$1$2");

/** Equal but for what stands at these keys. */
function differOnlyAt(ours: Normal, theirs: Normal, keys: readonly string[]): boolean {
  const without = (normal: Normal) =>
    JSON.stringify(normal, (key, value: unknown) => (keys.includes(key) ? undefined : value));
  return without(ours) === without(theirs);
}

const identityKeys = [
  ...["Components", "Platform", "Containerd", "FirewallBackend", "DefaultAddressPools", "InitCommit", "RuncCommit"],
  ...[
    "ContainerdCommit",
    "Runtimes",
    "Plugins",
    "ServerVersion",
    "Warnings",
    "OperatingSystem",
    "OSVersion",
    "DiscoveredDevices",
  ],
];

const fileKeys = ["HostnamePath", "HostsPath", "ResolvConfPath", "LogPath"];
const endpointKeys = [
  ...["EndpointID", "NetworkID", "MacAddress", "Gateway", "IPAddress", "IPPrefixLen"],
  ...["IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen"],
];

/** Differences that are meant, each with its reason. */
const explanations: readonly Explanation[] = [
  {
    why: "who we are, what runs beside us, and the firewall's kind are our own",
    fits: (request, ours, theirs) => isTo(request, /\/(info|version)$/) && differOnlyAt(ours, theirs, identityKeys),
  },
  {
    why: "dockerd panics over a null: the body of /auth, or a device in a list",
    fits: (request, _, theirs) => isTo(request, /\/auth$|\/(re)?start\b/) && hasPanicked(theirs),
  },
  {
    why: "dockerd creates a container with a relative volume, and cannot look into it afterwards",
    fits: (_request, _ours, theirs) => /^make destination relative: Rel: can't make/.test(messageOf(theirs)),
  },
  {
    why: "of several wrong filters Go names one at random",
    fits: (_, ours, theirs) => refuse(ours, theirs, /^invalid filter '/),
  },
  {
    why: "of several endpoints Go names them in any order",
    fits: (_, ours, theirs) => refuse(ours, theirs, /^Container cannot be created with multiple network endpoints: /),
  },
  {
    why: "of several containers or images to look from Go asks for any first",
    fits: (request, ours, theirs) =>
      isTo(request, /\/(containers|images)\/json\?/) && refuse(ours, theirs, /^No such (container|image): [\w:]+$/),
  },
  {
    why: "the OCI runtime's own words",
    fits: (_, ours, theirs) =>
      refuse(ours, theirs, /^Cannot update container <id>: /) ||
      withoutRuntimesWords(ours) === withoutRuntimesWords(theirs),
  },
  {
    why: "dockerd makes the log of a container that never ran when somebody asks for it",
    fits: (request, ours, theirs) => isTo(request, /\/containers\/.*\/json/) && differOnlyAt(ours, theirs, ["LogPath"]),
  },
  {
    why: "ours connects all networks before it makes the process, dockerd all but the first after it: another failure comes first",
    fits: (request, ours, theirs) =>
      isTo(request, /\/(re)?start\b/) &&
      /failed to set up container networking: network .* not found$/s.test(messageOf(ours)) &&
      /OCI runtime create failed|^stat \//.test(messageOf(theirs)),
  },
  {
    why: "dockerd looks at the platform before it moves the MAC address to a network, ours after it",
    fits: (_, ours, theirs) =>
      ours.status === theirs.status &&
      /^unable to migrate container-wide MAC address/.test(messageOf(ours)) &&
      /(unknown operating system or architecture|cannot parse platform specifier): invalid argument$/.test(
        messageOf(theirs),
      ),
  },
  {
    why: "a start that fails for want of its second network has gone further in dockerd",
    fits: (request, ours, theirs) =>
      isTo(request, /\/containers\/.*\/json/) &&
      /^failed to set up container networking: .* (not found|in host network mode)$/s.test(startErrorOf(ours)) &&
      differOnlyAt(ours, theirs, [...fileKeys, ...endpointKeys, "Error", "ExitCode"]),
  },
  {
    why: "of a container whose second network has gone, a failed start in dockerd leaves the first one's endpoint",
    fits: (request, ours, theirs) =>
      isTo(request, /\/containers\/json|\/system\/df|\/containers\/.*\/json/) &&
      differOnlyAt(ours, theirs, endpointKeys),
  },
  {
    why: "a path that no file system takes is refused by the call that sees it first",
    fits: (_, ours, theirs) => refuse(ours, theirs, /^(openat2|lstat) .*: file name too long$/),
  },
  {
    why: "an image that an engine makes names its release",
    fits: (request, ours, theirs) =>
      isTo(request, /\/images\/.*\/json/) && differOnlyAt(ours, theirs, ["DockerVersion"]),
  },
];

export const explanationOf = (request: FuzzRequest, ours: Normal, theirs: Normal): string | undefined =>
  explanations.find(({ fits }) => fits(request, ours, theirs))?.why;
