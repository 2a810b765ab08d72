import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

export interface Outcome {
  /** 128 + n for a process that died of signal n, as a shell counts. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Buffer;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** A command that hangs is a failed test, not a hanging one. */
  readonly timeoutMs?: number;
}

const signals: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGKILL: 9,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** Runs a program to its end. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const [file = "", ...rest] = argv;
  const child = spawn(file, rest, {
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    timeout: options.timeoutMs ?? 60_000,
    killSignal: "SIGKILL",
  });
  // A program may end before it has read all that it was given.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.stdin ?? "");
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  const [code, signal] = await once(child, "close");
  return { status: code ?? 128 + (signals[signal] ?? 0), stdout: await stdout, stderr: await stderr };
}

/** Like `run`, for what must succeed. Returns the output without its last newline. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await run(argv, options);
  if (status !== 0) throw new Error(`${argv.join(" ")}: status ${status}\n${stdout}${stderr}`);
  return stdout.replace(/\n$/, "");
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

/** Resolves with the first line of `child`'s stdout or stderr that matches; rejects with all lines if it ends before. */
export function lineOf(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = "";
    const look = (chunk: Buffer) => {
      seen += chunk;
      const line = seen.split("\n").find((text) => pattern.test(text));
      if (line !== undefined) resolve(line);
    };
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
    child.once("error", reject);
    child.once("exit", (code, signal) => reject(new Error(`${child.spawnfile} ended (${code ?? signal}):\n${seen}`)));
  });
}

/** Ends a process we started, and waits until it has. */
export async function stop(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}
