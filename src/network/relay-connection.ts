import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { getSystemErrorMap } from "node:util";
import { within } from "#base/within";

/** minirelay refused something. `code` is the errno's name; `index` says which port of several it was. */
export class RelayError extends Error {
  readonly code: string;
  readonly index: number;
  constructor(code: string, message: string, index: number) {
    super(message);
    this.name = "RelayError";
    this.code = code;
    this.index = index;
  }
}

/** All that it does is its own. */
const patienceMs = 10_000;

type Answer = Readonly<Record<string, unknown>>;
interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** The socket of a minirelay: a line of JSON for each request, answered in order (docs/relay-protocol.md). */
export class RelayConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #rest = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    socket.on("error", () => undefined); // "close" tells
    socket.on("close", () => {
      for (const waiting of this.#waiting.splice(0)) waiting.reject(new Error("minirelay has hung up"));
    });
    // It never keeps the daemon from ending.
    socket.unref();
  }

  /** Rejects with ENOENT or ECONNREFUSED when no relay listens there. */
  static async open(path: string): Promise<RelayConnection> {
    const socket = connect(path);
    await once(socket, "connect");
    return new RelayConnection(socket);
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  onClose(listener: () => void): void {
    this.#socket.on("close", listener);
  }

  /** Rejects with ETIMEDOUT where the answer takes too long; what was asked may still be done. */
  request(request: object): Promise<Answer> {
    if (!this.isOpen) return Promise.reject(new Error("minirelay has hung up"));
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`${JSON.stringify(request)}\n`);
    });
    return within(patienceMs, answer, silent);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#settle(parseAnswer(line));
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.shift();
    const error = answer.error;
    if (error === undefined) waiting?.resolve(answer);
    else waiting?.reject(failureOf(error, answer.index));
  }
}

const silent = (): RelayError =>
  new RelayError("ETIMEDOUT", `minirelay has not answered within ${patienceMs / 1000} s`, 0);

const isRecord = (value: unknown): value is Answer => typeof value === "object" && value !== null;

function parseAnswer(line: string): Answer {
  const value: unknown = JSON.parse(line);
  if (!isRecord(value)) throw new Error(`minirelay said ${line}`);
  return value;
}

function failureOf(error: unknown, index: unknown): RelayError {
  const fields = isRecord(error) ? error : {};
  const errno = typeof fields.errno === "number" ? fields.errno : 0;
  const [code = "EIO", text = "unknown error"] = getSystemErrorMap().get(-errno) ?? [];
  return new RelayError(code, `minirelay: ${fields.message}: ${text}`, typeof index === "number" ? index : 0);
}

export const numberIn = (answer: Answer, name: string): number => {
  const value = answer[name];
  if (typeof value !== "number") throw new Error(`minirelay's answer lacks ${name}`);
  return value;
};

export function textsIn(answer: Answer, name: string): string[] {
  const value = answer[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
