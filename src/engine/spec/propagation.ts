/** Mounts that propagate: their source must lie on a mount that does, and so must the root (moby oci_linux.go). */
import type { ResolvedMount } from "./mounts.ts";

type RootPropagation = "shared" | "rslave";

/** Throws when the host cannot give what a mount asks for. `mountinfo` is /proc/self/mountinfo. */
export function rootPropagationOf(mounts: readonly ResolvedMount[], mountinfo: string): RootPropagation | undefined {
  let root: RootPropagation | undefined;
  for (const mount of mounts) {
    if (mount.type !== "bind") continue;
    const { source, propagation } = mount;
    if (propagation.endsWith("shared")) {
      requirePeer(source, mountinfo, ["shared:"], "shared mount");
      root = "shared";
    }
    if (propagation.endsWith("slave")) {
      if (mount.isPropagationImplied && !canBeSlave(source, mountinfo)) continue;
      requirePeer(source, mountinfo, slavePeers, "shared or slave mount");
      root ??= "rslave";
    }
  }
  return root;
}

const slavePeers = ["shared:", "master:"];
const canBeSlave = (source: string, mountinfo: string): boolean => hasPeer(mountOf(source, mountinfo), slavePeers);

const hasPeer = ({ optional }: MountLine, peers: readonly string[]): boolean =>
  optional.some((field) => peers.some((peer) => field.startsWith(peer)));

function requirePeer(source: string, mountinfo: string, peers: readonly string[], wanted: string): void {
  const found = mountOf(source, mountinfo);
  if (hasPeer(found, peers)) return;
  throw new Error(`path ${source} is mounted on ${found.mountPoint} but it is not a ${wanted}`);
}

interface MountLine {
  readonly mountPoint: string;
  readonly optional: readonly string[];
}

/** The mount that `path` is on: the longest mount point above it (proc_pid_mountinfo(5)). */
function mountOf(path: string, mountinfo: string): MountLine {
  let found: MountLine = { mountPoint: "/", optional: [] };
  for (const line of mountinfo.split("\n")) {
    const [left = ""] = line.split(" - ");
    const [, , , , mountPoint = "", , ...optional] = left.split(" ");
    const point = unescapeOctal(mountPoint);
    const isAbove = point === "/" || path === point || path.startsWith(`${point}/`);
    // Of two on the same point the later line lies on top.
    if (isAbove && point.length >= found.mountPoint.length) found = { mountPoint: point, optional };
  }
  return found;
}

const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
