import { goQuote } from "#base/strconv";

/** `--tmpfs` options over the defaults: the last word on each matter wins (moby/sys/mount, MergeTmpfsOptions). */

/** Each line is one matter: its options exclude each other. */
const matters = [
  ["ro", "rw"],
  ["suid", "nosuid"],
  ["dev", "nodev"],
  ["exec", "noexec"],
  ["sync", "async"],
  ["dirsync"],
  ["remount"],
  ["mand", "nomand"],
  ["atime", "noatime"],
  ["diratime", "nodiratime"],
  ["bind", "rbind", "unbindable", "runbindable", "private", "rprivate", "shared", "rshared", "slave", "rslave"],
  ["relatime", "norelatime"],
  ["strictatime", "nostrictatime"],
];
const matterOf = new Map(matters.flatMap((options, matter) => options.map((option) => [option, matter] as const)));

const keys = new Set(["", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"]);

export function mergeTmpfsOptions(options: readonly string[]): string[] {
  const seen = new Set<string | number>();
  const merged: string[] = [];
  for (const option of options.toReversed()) {
    if (option === "defaults") continue;
    const matter = matterOf.get(option) ?? keyOf(option);
    if (seen.has(matter)) continue;
    seen.add(matter);
    merged.unshift(option);
  }
  return merged;
}

function keyOf(option: string): string {
  const [key = ""] = option.split("=", 1);
  if (!option.includes("=") || !keys.has(key)) throw new Error(`invalid tmpfs option ${goQuote(key)}`);
  return key;
}
