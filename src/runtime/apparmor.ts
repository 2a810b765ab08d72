import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

export const appArmorParser = "/sbin/apparmor_parser";

/** Has a policy compiled and put into the kernel, in the place of those that have its profiles' names. Throws what the parser says. */
export async function loadPolicy(policy: string): Promise<void> {
  // -K: without its cache, which may be on a read-only file system.
  const child = spawn(appArmorParser, ["-Kr"], { stdio: ["pipe", "pipe", "pipe"] });
  const exited = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("exit", resolve));
  child.stdin.on("error", () => undefined); // It has ended: its exit status tells.
  child.stdin.end(policy);
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  if (code !== 0)
    throw new Error(
      `running '${appArmorParser} -Kr' failed with output: ${stdout}${stderr}\nerror: exit status ${code}`,
    );
}
