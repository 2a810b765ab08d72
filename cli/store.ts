/** `minidock store`: looks after the images and layers that the engine keeps. */
import type { DaemonConfig } from "#daemon/config/config";
import { loadConfig } from "#daemon/config/load";
import { describeFlags, type FlagSpec, parseFlags } from "./flags.ts";

export const storeFlags: readonly FlagSpec[] = [
  { name: "data-root", valueName: "string", help: 'The engine\'s data (default "/var/lib/docker")' },
  { name: "exec-root", valueName: "string", help: 'The engine\'s state (default "/var/run/docker")' },
  { name: "config-file", valueName: "string", help: 'The engine\'s configuration (default "/etc/docker/daemon.json")' },
];

type Print = (line: string) => void;

export const storeCommands = {
  verify: "Read every blob and layer and tell what is damaged; the engine may run",
  repair: "Unpack or fetch again what is damaged; the engine must not run",
} as const;

const helpFlag: FlagSpec = { name: "help", shorthand: "h", valueName: "", help: "Print this" };

export function storeUsage(): string {
  const list = Object.entries(storeCommands).map(([name, help]) => `  ${name.padEnd(10)}${help}\n`);
  return `
Usage:  minidock store COMMAND [OPTIONS]

Commands:
${list.join("")}
Options:
${describeFlags([...storeFlags, helpFlag])}
Exit status: 0 if all is well now, 1 if something is damaged and stays so, 2 if the store cannot be looked at.
`;
}

/** 0: all is well now. 1: something is damaged, and stays so. */
export async function runStore(argv: readonly string[], print: Print): Promise<number> {
  const { values, rest } = parseFlags(argv, [...storeFlags, helpFlag]);
  if (values.has("help")) {
    print(storeUsage());
    return 0;
  }
  const [command, ...others] = rest;
  if (others.length > 0 || (command !== "verify" && command !== "repair"))
    throw new Error("usage: minidock store verify|repair [--data-root DIR] [--exec-root DIR] [--config-file FILE]");
  const invocation = loadConfig(
    storeFlags.flatMap(({ name }) => (values.get(name) ?? []).map((value) => `--${name}=${value}`)),
    process.env,
  );
  if (invocation.kind !== "run") throw new Error("the configuration cannot be read");
  const { config } = invocation.configuration;
  return command === "verify" ? verifyAll(config, print) : repairAll(config, print);
}

async function verifyAll(config: DaemonConfig, print: Print): Promise<number> {
  const { subjectOf, verify } = await import("#daemon/store");
  let count = 0;
  for await (const fault of verify(config)) {
    print(`${subjectOf(fault)}: ${fault.problem}`);
    count++;
  }
  print(count === 0 ? "the store is whole" : `${count} damaged; minidock store repair mends what can be mended`);
  return count === 0 ? 0 : 1;
}

async function repairAll(config: DaemonConfig, print: Print): Promise<number> {
  const { repair, subjectOf } = await import("#daemon/store");
  let [mended, left] = [0, 0];
  for await (const { fault, failure } of repair(config, interrupted())) {
    print(`${subjectOf(fault)}: ${fault.problem}: ${failure === undefined ? "mended" : `not mended: ${failure}`}`);
    if (failure === undefined) mended++;
    else left++;
  }
  print(`${mended} mended, ${left} left`);
  return left === 0 ? 0 : 1;
}

function interrupted(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort(new Error("interrupted")));
  return controller.signal;
}
