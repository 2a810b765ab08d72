import { PsError } from "./ps-error.ts";

/** The formats that BSD letters name; they exclude each other. `T:spid` is there with SysV's -T only. */
const bsdFormats = {
  u: "user pid T:spid j:pgid j:sid L:lwp pcpu L:nlwp pmem vsz rss tname stat bsdstart bsdtime args",
  l: "f uid pid T:spid ppid j:pgid j:sid L:lwp priority ni vsz rss wchan stat tname bsdtime args",
  j: "ppid pid T:spid pgid sid L:lwp tname tpgid stat uid bsdtime args",
  s: "uid pid T:spid j:pgid j:sid L:lwp pending blocked ignored caught stat tname bsdtime args",
  v: "pid T:spid j:pgid j:sid L:lwp tname stat bsdtime majflt trs drs rss pmem args",
} as const;

export type BsdFormat = keyof typeof bsdFormats;

export const isBsdFormat = (letter: string): letter is BsdFormat => Object.hasOwn(bsdFormats, letter);

/** What the letters of a ps command line ask for, SysV's modifiers among them. */
export interface Letters {
  readonly bsd: BsdFormat | undefined;
  readonly sysv: ReadonlySet<string>;
  readonly prefersBsd: boolean;
}

export function columnNames({ bsd, sysv, prefersBsd }: Letters): string[] {
  if (bsd !== undefined && (sysv.has("f") || sysv.has("l"))) throw new PsError("error: conflicting format options");
  if (bsd === undefined) return sysvColumns(sysv, prefersBsd);
  return `M:label ${bsdFormats[bsd]}`.split(" ").flatMap((column) => {
    const [name = "", letter] = column.split(":").reverse();
    return letter === undefined || sysv.has(letter) ? [name] : [];
  });
}

/** SysV's formats are sums of their letters. */
function sysvColumns(letters: ReadonlySet<string>, prefersBsd: boolean): string[] {
  const [extra, long, jobs, classes] = [letters.has("F"), letters.has("l"), letters.has("j"), letters.has("c")];
  const [threads, withoutAddress] = [letters.has("L"), letters.has("y")];
  const full = letters.has("f") || extra;
  if (withoutAddress && !long) throw new PsError("error: modifier -y without format -l makes no sense");
  const parts: readonly (readonly [isAsked: boolean, columns: string])[] = [
    [letters.has("M"), "label"],
    [long && !withoutAddress, "f"],
    [long, "s"],
    [full, "uid_hack"],
    [long && !full, "uid"],
    [true, "pid"],
    [letters.has("T"), "spid"],
    [full || long, "ppid"],
    [jobs, "pgid sid"],
    [threads, "lwp"],
    [letters.has("P"), "psr"],
    [!classes && (full || long), "c"],
    [threads && full, "nlwp"],
    [classes, "cls pri"],
    [long && !classes, "opri ni"],
    [long, withoutAddress ? "rss sz wchan" : "ADDR sz wchan"],
    [extra && !long, "sz rss"],
    [extra && long && !withoutAddress, "rss"],
    [extra && !letters.has("P"), "psr"],
    [full, "stime"],
    [true, "tname"],
    [prefersBsd && !long, "stat"],
    [true, prefersBsd ? "bsdtime" : "time"],
    [true, full ? "cmd" : prefersBsd && !long ? "args" : "ucmd"],
  ];
  return parts.flatMap(([isAsked, columns]) => (isAsked ? columns.split(" ") : []));
}
