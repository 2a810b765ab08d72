/** The operator's tool: starts the engine, looks at the machine. Containers are the docker CLI's business. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { messageOf } from "#base/errors";
import { buildInfo } from "#daemon/build-info";
import { packageRoot } from "#daemon/paths";
import { checkHost } from "./check.ts";
import { describeFlags, type FlagSpec, parseFlags } from "./flags.ts";
import { runStore, storeCommands, storeFlags } from "./store.ts";

interface Command {
  readonly help: string;
  /** Returns the exit status. */
  readonly run: (argv: readonly string[]) => number | Promise<number>;
}

const dataRootFlag: FlagSpec = {
  name: "data-root",
  valueName: "string",
  help: 'The engine\'s data (default "/var/lib/docker")',
};

const commands: Readonly<Record<string, Command>> = {
  start: { help: "Start the engine in the foreground; options as minidockd --help tells", run: start },
  check: { help: "Tell what this machine has of what the engine needs", run: check },
  store: { help: "Look after the store of images: store verify, store repair", run: store },
  version: { help: "Print version information", run: version },
};

function start(argv: readonly string[]): number {
  const { status } = spawnSync(join(packageRoot(), "bin", "minidockd"), argv, { stdio: "inherit" });
  return status ?? 1;
}

async function check(argv: readonly string[]): Promise<number> {
  const { values } = parseFlags(argv, [dataRootFlag]);
  const canRun = await checkHost(values.get("data-root")?.at(-1) ?? "/var/lib/docker", (line) => console.log(line));
  return canRun ? 0 : 1;
}

async function store(argv: readonly string[]): Promise<number> {
  try {
    return await runStore(argv, (line) => console.log(line));
  } catch (error) {
    console.error(`minidock store: ${messageOf(error)}`);
    return 2;
  }
}

function version(): number {
  console.log(`minidock version ${buildInfo.version}, build ${buildInfo.commit}`);
  return 0;
}

function usage(): string {
  const list = Object.entries(commands).map(([name, { help }]) => `  ${name.padEnd(10)}${help}\n`);
  const ofStore = Object.entries(storeCommands).map(([name, help]) => `  store ${name.padEnd(8)}${help}\n`);
  const options = `Options of check:\n${describeFlags([dataRootFlag])}\nOptions of store:\n${describeFlags(storeFlags)}`;
  return `\nUsage:  minidock COMMAND\n\nCommands:\n${list.join("")}\n${ofStore.join("")}\n${options}`;
}

async function main(): Promise<number> {
  const [name = "help", ...rest] = process.argv.slice(2);
  const command = commands[name.replace(/^(-v|--version)$/, "version")];
  if (command !== undefined) return await command.run(rest);
  const isHelp = ["help", "-h", "--help"].includes(name);
  if (!isHelp) console.error(`minidock: '${name}' is not a minidock command.`);
  (isHelp ? process.stdout : process.stderr).write(usage());
  return isHelp ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}
