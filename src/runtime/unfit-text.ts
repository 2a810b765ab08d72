import { constants } from "node:os";
import { goQuote } from "#base/strconv";
import type { Process } from "./oci-spec.ts";
import { RuntimeError } from "./runtime-error.ts";

/**
 * No program can be given a text with a NUL in it; our own runtime reads none. Refused in runc's words, which for the
 * command are those of one that is not there.
 */
export function refuseUnfitText(
  { args = [], env = [], cwd }: Process,
  words = "unable to start container process",
): void {
  const refused = (message: string, errno = constants.errno.EINVAL) =>
    new RuntimeError({ stage: "exec", errno, message: `${words}: ${message}` });
  const variable = env.find(isUnfit);
  if (variable !== undefined) {
    const name = goQuote(variable.split("=", 1)[0] ?? "");
    throw refused(`invalid environment variable ${name}: contains nul byte (\\x00)`);
  }
  if (isUnfit(cwd)) throw refused(`chdir to cwd (${goQuote(cwd)}) set in config.json failed: invalid argument`);
  const [command = ""] = args;
  const name = `exec: ${goQuote(command)}`;
  if (isUnfit(command) && !command.includes("/")) {
    throw refused(`${name}: executable file not found in $PATH`, constants.errno.ENOENT);
  }
  if (args.some(isUnfit)) throw refused(`${name}: invalid argument`);
}

const isUnfit = (text: string): boolean => text.includes("\0");
