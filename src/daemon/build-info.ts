/** What `docker version` says about this build. A bundle has it written in by build.ts; a checkout looks it up. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

export interface BuildInfo {
  readonly version: string;
  /** Short commit id, or "unknown" outside of a checkout. */
  readonly commit: string;
  /** RFC 3339. */
  readonly time: string;
}

/** Replaced by esbuild (build.ts, `define`). */
declare const BUILD_INFO: BuildInfo | undefined;

export const buildInfo: BuildInfo =
  typeof BUILD_INFO === "undefined" ? readBuildInfo(join(import.meta.dirname, "..", "..")) : BUILD_INFO;

/** From package.json and .git, without running git: the daemon starts no program for this. */
export function readBuildInfo(root: string): BuildInfo {
  const file = join(root, "package.json");
  const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
  const version = typeof parsed === "object" && parsed !== null && "version" in parsed ? String(parsed.version) : "";
  return { version, commit: readCommit(join(root, ".git")), time: statSync(file).mtime.toISOString() };
}

function readCommit(git: string): string {
  try {
    const head = readFileSync(join(git, "HEAD"), "utf8").trim();
    const commit = head.startsWith("ref: ") ? readReference(git, head.slice(5)) : head;
    return commit.slice(0, 7);
  } catch {
    return "unknown";
  }
}

/** A branch is a file of its own, or a line of packed-refs after `git gc`. */
function readReference(git: string, reference: string): string {
  try {
    return readFileSync(join(git, reference), "utf8").trim();
  } catch {
    const lines = readFileSync(join(git, "packed-refs"), "utf8").split("\n");
    return lines.find((line) => line.endsWith(` ${reference}`))?.split(" ")[0] ?? "unknown";
  }
}
