import { closeSync, write } from "node:fs";
import { getSystemErrorMap, promisify } from "node:util";
import {
  AF_NETLINK,
  bind,
  netlinkAddress,
  recv,
  SO_RCVBUFFORCE,
  SO_RCVTIMEO,
  SO_SNDBUFFORCE,
  SOCK_RAW,
  SOL_NETLINK,
  SOL_SOCKET,
  sendto,
  setsockopt,
  socket,
} from "#native";
import {
  type Message,
  type MessageWriter,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  readI32,
  readMessages,
} from "./message.ts";

const writeAsync = promisify(write);

const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;

/** The kernel refused a message. `code` is the errno's name; `index` says which message of the batch it was. */
export class NetlinkError extends Error {
  readonly code: string;
  readonly index: number;
  constructor(errno: number, index: number, what: string) {
    const [code, text] = getSystemErrorMap().get(-errno) ?? [`E${errno}`, "unknown error"];
    super(`netlink ${what}: ${text}`);
    this.name = "NetlinkError";
    this.code = code;
    this.index = index;
  }
}

/** One receive buffer serves all sockets: every request is answered before the next is sent. */
const receiveBuffer = Buffer.alloc(64 * 1024);

/**
 * A netlink socket of the network namespace that the thread was in when it was opened; it stays with that namespace.
 * Requests are synchronous: the kernel handles rtnetlink and nf_tables inside sendto(2), the answers wait when it
 * returns, and nothing is waited for.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  #sequence = 1;
  #isOpen = true;

  constructor(protocol: number) {
    this.#fd = socket(AF_NETLINK, SOCK_RAW, protocol);
    try {
      bind(this.#fd, netlinkAddress());
      // Answers without an echo of the request: a thousand set elements do not come back as a thousand copies.
      setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
      setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, 0);
      // Nothing is ever waited for; should the kernel not answer, that is an error and not a hung engine.
      const tenSeconds = new Uint8Array(new BigInt64Array([10n, 0n]).buffer);
      setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, tenSeconds);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** Sends every message of the batch (each with NLM_F_ACK) and takes the answers. Throws for the first that failed. */
  request(writer: MessageWriter, what: string): void {
    const first = this.#send(writer);
    let failure: NetlinkError | undefined;
    this.#receive(first, writer.count, (message) => {
      failure ??= errorOf(message, first, what);
    });
    if (failure !== undefined) throw failure;
  }

  /** As `request`, but a failed message does not hide the others: the error of each, by its index. */
  requestEach(writer: MessageWriter, what: string): (NetlinkError | undefined)[] {
    const first = this.#send(writer);
    const failures: (NetlinkError | undefined)[] = new Array(writer.count).fill(undefined);
    this.#receive(first, writer.count, (message) => {
      const failure = errorOf(message, first, what);
      if (failure !== undefined) failures[failure.index] = failure;
    });
    return failures;
  }

  /** As `request`, sent by a thread of libuv's pool. The socket is this request's alone until it is answered. */
  async requestInBackground(writer: MessageWriter, what: string): Promise<void> {
    const first = await this.#sendInBackground(writer);
    let failure: NetlinkError | undefined;
    this.#receive(first, writer.count, (message) => {
      failure ??= errorOf(message, first, what);
    });
    if (failure !== undefined) throw failure;
  }

  /** Sends one message (a dump, or a get without NLM_F_ACK) and returns what comes back. */
  query(writer: MessageWriter, what: string): Message[] {
    return this.#receiveAll(this.#send(writer), what);
  }

  /** As `query`, where the kernel has to look at much before it answers. The socket is this query's alone until then. */
  async queryInBackground(writer: MessageWriter, what: string): Promise<Message[]> {
    return this.#receiveAll(await this.#sendInBackground(writer), what);
  }

  #receiveAll(first: number, what: string): Message[] {
    const messages: Message[] = [];
    for (;;) {
      const length = recv(this.#fd, receiveBuffer);
      for (const message of readMessages(Buffer.from(receiveBuffer.subarray(0, length)))) {
        if (message.sequence !== first) continue;
        const failure = errorOf(message, first, what);
        if (failure !== undefined) throw failure;
        if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) return messages;
        messages.push(message);
        if ((message.flags & NLM_F_MULTI) === 0) return messages;
      }
    }
  }

  /**
   * An nf_tables transaction: the whole batch stands or falls. Only its message `last` asks for an answer; a failure is
   * answered for every message that failed, or for the first one when it was the transaction itself.
   */
  transact(writer: MessageWriter, last: number, what: string): void {
    const first = this.#send(writer);
    let failure: NetlinkError | undefined;
    this.#receiveUntil(first, (message) => {
      failure ??= errorOf(message, first, what);
      return message.sequence === first || message.sequence >= first + last;
    });
    if (failure !== undefined) throw failure;
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#fd);
  }

  /** The first sequence number of the batch. */
  #send(writer: MessageWriter): number {
    const first = this.#sequence;
    this.#sequence = (first + writer.count) % 0x7fff0000;
    const bytes = writer.finish(first);
    // A batch larger than the socket's buffer is refused with EMSGSIZE; root may have as much as it needs.
    if (bytes.length > 128 * 1024) {
      setsockopt(this.#fd, SOL_SOCKET, SO_SNDBUFFORCE, 2 * bytes.length);
      setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, 2 * bytes.length);
    }
    sendto(this.#fd, bytes, 0, netlinkAddress());
    return first;
  }

  async #sendInBackground(writer: MessageWriter): Promise<number> {
    const first = this.#sequence;
    this.#sequence += writer.count;
    // write(2) on an unconnected netlink socket goes to the kernel, as sendto with port id 0 does.
    await writeAsync(this.#fd, writer.finish(first));
    return first;
  }

  #receive(first: number, count: number, take: (message: Message) => void): void {
    let answered = 0;
    this.#receiveUntil(first, (message) => {
      take(message);
      answered += 1;
      return answered >= count;
    });
  }

  /** Reads acknowledgements until `take` has seen enough. What an earlier, failed batch left behind is passed over. */
  #receiveUntil(first: number, take: (message: Message) => boolean): void {
    for (;;) {
      const length = recv(this.#fd, receiveBuffer);
      for (const message of readMessages(receiveBuffer.subarray(0, length))) {
        if (message.type === NLMSG_ERROR && message.sequence >= first && take(message)) return;
      }
    }
  }
}

function errorOf(message: Message, first: number, what: string): NetlinkError | undefined {
  if (message.type !== NLMSG_ERROR) return undefined;
  const errno = -readI32(message.payload, 0);
  return errno === 0 ? undefined : new NetlinkError(errno, message.sequence - first, what);
}
