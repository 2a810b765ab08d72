/** What attackers bring along: images of any content, and programs of runtime-native/tests/helpers to run in them. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { busyboxTar } from "#test/busybox";
import { must } from "#test/command";
import { type Daemon, packageRoot } from "#test/daemon";

/** How often each race is run. THREAT_ROUNDS=2000 for an evening. */
export const rounds = Number(process.env.THREAT_ROUNDS ?? 40);

export const helper = (name: string): string => join(packageRoot, "runtime-native", "build", "helpers", name);

/** An image of busybox and the helpers, and what `prepare` makes of its root. */
export async function makeImage(
  daemon: Daemon,
  tag: string,
  prepare: (root: string) => void | Promise<void> = () => undefined,
  ...changes: readonly string[]
): Promise<void> {
  const root = mkdtempSync(join(daemon.folder, "image-"));
  await must(["tar", "-xf", await busyboxTar(), "-C", root]);
  for (const name of readdirSync(helper(""))) copyFileSync(helper(name), join(root, "bin", name));
  await prepare(root);
  const tar = `${root}.tar`;
  await must(["tar", "-S", "--owner=0", "--group=0", "--numeric-owner", "-cf", tar, "-C", root, "."]);
  await daemon.ok("import", "-c", 'CMD ["sh"]', ...changes.flatMap((change) => ["-c", change]), tar, tag);
  for (const path of [root, tar]) rmSync(path, { recursive: true });
}

/** A folder of the host that no container may read or change. */
export class Outside {
  /** A line of a passwd, so that one who is fooled finds the user. */
  static readonly secret = "bytes-of-the-host:x:42:42::/:";
  readonly path: string;
  readonly #before: string;

  constructor(daemon: Daemon, text = Outside.secret) {
    this.path = join(daemon.folder, "outside");
    mkdirSync(join(this.path, "deep", "er"), { recursive: true, mode: 0o710 });
    writeFileSync(join(this.path, "secret"), text, { mode: 0o640 });
    this.#before = this.#look();
  }

  /** Climbs to it from any depth. */
  get relativePath(): string {
    return `${"../".repeat(12)}${this.path.slice(1)}`;
  }

  get isUntouched(): boolean {
    return this.#look() === this.#before;
  }

  #look(): string {
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(this.path));
    const names = readdirSync(this.path, { recursive: true, encoding: "utf8" });
    const files = [".", ...names].map((name) => {
      const { mode, uid, gid, mtimeMs } = statSync(join(this.path, name));
      return `${name} ${mode.toString(8)} ${uid} ${gid} ${mtimeMs}`;
    });
    return [...mounts, ...files, readFileSync(join(this.path, "secret"), "latin1")].join("\n");
  }
}
