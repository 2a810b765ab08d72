import { closeSync, mkdirSync, openSync, readdirSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "#base/errors";
import { CLONE_NEWNET, MNT_DETACH, MS_BIND, mount, setns, umount2, unshare } from "#native";

const userSuffix = ".user";

/**
 * Network namespaces with a name in the file system. The thread that asks makes them and goes into them, synchronously:
 * between leaving the host's namespace and coming back nothing is awaited, so nothing else runs in there, and the
 * threads of libuv's pool never leave the host's.
 */
export class Namespaces implements Disposable {
  readonly directory: string;
  readonly #hostFd = openSync("/proc/thread-self/ns/net", "r");

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  pathOf(name: string): string {
    return join(this.directory, name);
  }

  /** Of the user namespace that a network namespace belongs to, where it has one with a name. */
  userPathOf(name: string): string {
    return join(this.directory, `${name}${userSuffix}`);
  }

  /** Makes a namespace and runs `setUp` in it, its loopback down and nothing else in it. */
  create<T>(name: string, setUp: () => T): T {
    const path = this.pathOf(name);
    closeSync(openSync(path, "wx", 0o600));
    try {
      return this.#away(
        () => unshare(CLONE_NEWNET),
        () => {
          mount({ source: "/proc/thread-self/ns/net", target: path, flags: MS_BIND });
          return setUp();
        },
      );
    } catch (error) {
      this.remove(name);
      throw error;
    }
  }

  /** Runs `work` in the namespace at `path`. What it opens (sockets, files below /proc/sys/net) belongs to it. */
  enter<T>(path: string, work: () => T): T {
    const fd = openSync(path, "r");
    try {
      return this.#away(() => setns(fd, CLONE_NEWNET), work);
    } finally {
      closeSync(fd);
    }
  }

  /** Forgets the name; the namespace goes when its last process and socket have gone. No error when it is gone already. */
  remove(name: string): void {
    for (const path of [this.pathOf(name), this.userPathOf(name)]) this.#remove(path);
  }

  #remove(path: string): void {
    try {
      umount2(path, MNT_DETACH);
    } catch (error) {
      if (errnoOf(error) !== "EINVAL" && errnoOf(error) !== "ENOENT") throw error;
    }
    try {
      // Unlinking detaches the copies that other mount namespaces (the shims') inherited, too.
      unlinkSync(path);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }

  list(): string[] {
    return readdirSync(this.directory).filter((name) => !name.endsWith(userSuffix));
  }

  #away<T>(leave: () => void, work: () => T): T {
    leave();
    try {
      return work();
    } finally {
      // Failing here would leave the engine in a container's network: the exception ends the daemon, rightly.
      setns(this.#hostFd, CLONE_NEWNET);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#hostFd);
  }
}

/** Writes a sysctl of the namespace that the thread is in: `net/ipv6/conf/eth0/disable_ipv6`. */
export function writeSysctl(name: string, value: string): void {
  writeFileSync(join("/proc/sys", name), `${value}\n`);
}

/** As writeSysctl, for settings that a kernel may lack: false when it has not got this one. */
export function tryWriteSysctl(name: string, value: string): boolean {
  try {
    writeSysctl(name, value);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
