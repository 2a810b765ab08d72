export interface Mount {
  /** Which folder of its file system it shows; "/" for all of it. */
  readonly root: string;
  readonly mountPoint: string;
  readonly isShared: boolean;
}

/** The mount that a path lies on: the longest mount point that is a prefix of it, the last of equals. */
export function mountOf(mountinfo: string, path: string): Mount {
  let found: Mount = { root: "", mountPoint: "", isShared: false };
  for (const line of mountinfo.split("\n")) {
    const [, , , root = "", mountPoint = "", , ...optional] = line.split(" ");
    const isAbove = mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`);
    if (mountPoint === "" || !isAbove || mountPoint.length < found.mountPoint.length) continue;
    const fields = optional.slice(0, optional.indexOf("-"));
    found = { root, mountPoint, isShared: fields.some((field) => field.startsWith("shared:")) };
  }
  return found;
}
