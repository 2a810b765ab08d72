/** The mount that a path lies on, and whether it is shared: the longest mount point that is a prefix of it, the last of equals. */
export function mountOf(mountinfo: string, path: string): { mountPoint: string; isShared: boolean } {
  let found = { mountPoint: "", isShared: false };
  for (const line of mountinfo.split("\n")) {
    const [, , , , mountPoint = "", , ...optional] = line.split(" ");
    const isAbove = mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`);
    if (mountPoint === "" || !isAbove || mountPoint.length < found.mountPoint.length) continue;
    const fields = optional.slice(0, optional.indexOf("-"));
    found = { mountPoint, isShared: fields.some((field) => field.startsWith("shared:")) };
  }
  return found;
}
