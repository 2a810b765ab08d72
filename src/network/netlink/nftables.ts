import { NETLINK_NETFILTER } from "#native";
import {
  MessageWriter,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  readAttributes,
  readList,
  readText,
} from "./message.ts";
import type { Expression } from "./nft-expressions.ts";
import { NetlinkSocket } from "./socket.ts";

const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
const subsystem = 10;
const messageType = (type: number): number => (subsystem << 8) | type;
const NEWTABLE = messageType(0);
const DELTABLE = messageType(2);
const NEWCHAIN = messageType(3);
const GETCHAIN = messageType(4);
const NEWRULE = messageType(6);
const GETRULE = messageType(7);
const DELRULE = messageType(8);
const NEWSET = messageType(9);
const NEWSETELEM = messageType(12);
const GETSETELEM = messageType(13);
const DELSETELEM = messageType(14);
const GETGEN = messageType(16);

const AF_UNSPEC = 0;
const NFPROTO_INET = 1;
const NFTA_LIST_ELEM = 1;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFT_SET_INTERVAL = 4;
const NFT_SET_MAP = 8;
const NFT_SET_CONCAT = 0x80;
const NFTA_SET_ELEM_KEY_END = 10;
const NFTA_CHAIN_POLICY = 5;
const NFTA_RULE_USERDATA = 7;
const NF_DROP = 0;

/** Netfilter hooks of the inet family. */
export const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

export interface Chain {
  readonly name: string;
  /** Absent: a chain that others jump to. Its policy is accept. */
  readonly base?: { readonly type: "filter" | "nat"; readonly hook: keyof typeof hooks; readonly priority: number };
}

/** Type numbers are nft's own (include/datatype.h), for `nft list`; the kernel only looks at the lengths. */
export interface SetType {
  readonly type: number;
  readonly length: number;
  /** The lengths of its parts. */
  readonly fields: readonly number[];
}

export interface SetDefinition {
  readonly name: string;
  readonly key: SetType;
  /** A map when it is there. */
  readonly value?: SetType;
  /** Its elements may be ranges, field by field. */
  readonly hasRanges?: boolean;
}

export interface Element {
  readonly key: Uint8Array;
  /** The last key of a range. */
  readonly keyEnd?: Uint8Array;
  readonly value?: Uint8Array;
}

const types = {
  ipv4Address: { type: 7, length: 4 },
  ipv6Address: { type: 8, length: 16 },
  protocol: { type: 12, length: 4 },
  port: { type: 13, length: 4 },
  interface: { type: 41, length: 16 },
  family: { type: 2, length: 1 },
} as const;

/** A key or value of several fields: each is padded to 32 bits, the type numbers are six bits each. */
export function concatenate(...names: readonly (keyof typeof types)[]): SetType {
  return names
    .map((name) => types[name])
    .reduce<SetType>(
      (sum, { type, length }) => ({
        type: (sum.type << 6) | type,
        length: sum.length + length,
        fields: [...sum.fields, length],
      }),
      { type: 0, length: 0, fields: [] },
    );
}

/** nfgenmsg; the resource id is in network order. */
const header = (family: number, resource = 0): Uint8Array => Uint8Array.of(family, 0, resource >> 8, resource & 0xff);
const inet = header(NFPROTO_INET);

/** An attribute's length has 16 bits: so many elements of our largest kind stay well below that. */
const elementsPerMessage = 400;

/** One atomic change of one table, of the inet family if no other is named. */
export class NftBatch {
  readonly writer = new MessageWriter(4096);
  readonly #table: string;
  readonly #header: Uint8Array;

  constructor(table: string, family = NFPROTO_INET) {
    this.#table = table;
    this.#header = header(family);
    this.writer.begin(NFNL_MSG_BATCH_BEGIN, 0, header(AF_UNSPEC, subsystem));
  }

  get isEmpty(): boolean {
    return this.writer.count === 1;
  }

  addTable(): this {
    return this.#tableMessage(NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
  }

  /** The table anew, whatever was in it: deleting needs it to be there, so it is made first. */
  resetTable(): this {
    return this.#tableMessage(NEWTABLE, NLM_F_CREATE).deleteTable().addTable();
  }

  deleteTable(): this {
    return this.#tableMessage(DELTABLE, 0);
  }

  addChain({ name, base }: Chain): this {
    this.writer.begin(NEWCHAIN, NLM_F_CREATE, this.#header).text(1, this.#table).text(3, name);
    if (base !== undefined) {
      this.writer
        .nest(4, (hook) => hook.u32be(1, hooks[base.hook]).u32be(2, base.priority))
        .u32be(5, 1)
        .text(7, base.type);
    }
    return this;
  }

  addSet(set: SetDefinition, id: number): this {
    this.writer
      .begin(NEWSET, NLM_F_CREATE, this.#header)
      .text(1, this.#table)
      .text(2, set.name)
      .u32be(3, setFlags(set))
      .u32be(4, set.key.type)
      .u32be(5, set.key.length);
    if (set.value !== undefined) this.writer.u32be(6, set.value.type).u32be(7, set.value.length);
    if (set.hasRanges === true) this.writer.nest(9, (description) => writeFields(description, set.key));
    this.writer.u32be(10, id);
    // Tells `nft list` to read a lone interface name in the host's order; the kernel does not look at it.
    if (set.key.type === types.interface.type) this.writer.bytes(13, Uint8Array.of(0, 4, 1, 0, 0, 0));
    return this;
  }

  /** At the end of the chain. */
  addRule(chain: string, expressions: readonly Expression[], comment?: string): this {
    this.writer
      .begin(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, this.#header)
      .text(1, this.#table)
      .text(2, chain)
      .nest(4, (list) => {
        for (const write of expressions) write(list);
      });
    if (comment !== undefined) this.writer.bytes(NFTA_RULE_USERDATA, userComment(comment));
    return this;
  }

  deleteRule(chain: string, { handle }: RuleHandle): this {
    this.writer.begin(DELRULE, 0, this.#header).text(1, this.#table).text(2, chain).bytes(3, handle);
    return this;
  }

  /** Adding an element that is there with the same value is no error. */
  addElements(set: string, elements: readonly Element[]): this {
    return this.#elements(NEWSETELEM, NLM_F_CREATE, set, elements);
  }

  /** Deleting one that is not there fails the whole batch. */
  deleteElements(set: string, elements: readonly Element[]): this {
    return this.#elements(DELSETELEM, 0, set, elements);
  }

  /** The batch is complete: the last real message asks for an answer. */
  end(): { readonly last: number } {
    const last = this.writer.requestAnswer().count - 1;
    this.writer.begin(NFNL_MSG_BATCH_END, 0, header(AF_UNSPEC, subsystem));
    return { last };
  }

  #tableMessage(type: number, flags: number): this {
    this.writer.begin(type, flags, this.#header).text(1, this.#table);
    return this;
  }

  #elements(type: number, flags: number, set: string, elements: readonly Element[]): this {
    for (let at = 0; at < elements.length; at += elementsPerMessage) {
      this.writer
        .begin(type, flags, this.#header)
        .text(1, this.#table)
        .text(2, set)
        .nest(3, (list) => {
          for (const element of elements.slice(at, at + elementsPerMessage)) writeElement(list, element);
        });
    }
    return this;
  }
}

export interface RuleHandle {
  readonly handle: Uint8Array;
  /** Empty when it has none. */
  readonly comment: string;
}

/** libnftnl's user data: type 0 is a comment. */
const userComment = (comment: string): Uint8Array =>
  Buffer.concat([Uint8Array.of(0, Buffer.byteLength(comment) + 1), Buffer.from(`${comment}\0`)]);

const setFlags = ({ value, hasRanges }: SetDefinition): number =>
  (value === undefined ? 0 : NFT_SET_MAP) | (hasRanges === true ? NFT_SET_INTERVAL | NFT_SET_CONCAT : 0);

/** NFTA_SET_DESC_CONCAT: the kernel looks ranges up field by field. */
function writeFields(description: MessageWriter, { fields }: SetType): void {
  description.nest(2, (list) => {
    for (const length of fields) list.nest(NFTA_LIST_ELEM, (field) => field.u32be(1, length));
  });
}

function writeElement(list: MessageWriter, { key, keyEnd, value }: Element): void {
  list.nest(NFTA_LIST_ELEM, (element) => {
    element.nest(NFTA_SET_ELEM_KEY, (data) => data.bytes(NFTA_DATA_VALUE, key));
    if (keyEnd !== undefined) element.nest(NFTA_SET_ELEM_KEY_END, (data) => data.bytes(NFTA_DATA_VALUE, keyEnd));
    if (value !== undefined) element.nest(NFTA_SET_ELEM_DATA, (data) => data.bytes(NFTA_DATA_VALUE, value));
  });
}

/** nf_tables of the namespace in which it was opened. */
export class NftSocket implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK_NETFILTER);

  commit(batch: NftBatch, what: string): void {
    if (batch.isEmpty) return;
    const { last } = batch.end();
    this.#socket.transact(batch.writer, last, what);
  }

  /** Counts every change of any table in this namespace. */
  generation(): number {
    const writer = new MessageWriter().begin(GETGEN, 0, header(AF_UNSPEC));
    const [answer] = this.#socket.query(writer, "get the ruleset's generation");
    const id = answer === undefined ? undefined : readAttributes(answer.payload, 4).get(1);
    if (id === undefined) throw new Error("nf_tables: no generation in the answer");
    return id.readUInt32BE();
  }

  /** Whether the chain is there and drops what none of its rules decides. */
  isDropping(family: number, table: string, chain: string): boolean {
    const writer = new MessageWriter().begin(GETCHAIN, NLM_F_DUMP, header(family));
    return this.#socket.query(writer, "list chains").some(({ payload }) => {
      const attributes = readAttributes(payload, 4);
      const isIt = readText(attributes.get(1)) === table && readText(attributes.get(3)) === chain;
      return isIt && attributes.get(NFTA_CHAIN_POLICY)?.readUInt32BE() === NF_DROP;
    });
  }

  /** None when there is no such chain. */
  listRules(family: number, table: string, chain: string): RuleHandle[] {
    const writer = new MessageWriter().begin(GETRULE, NLM_F_DUMP, header(family)).text(1, table).text(2, chain);
    return this.#socket.query(writer, "list rules").map(({ payload }) => {
      const attributes = readAttributes(payload, 4);
      const [kind, length = 0, ...bytes] = attributes.get(NFTA_RULE_USERDATA) ?? [];
      const comment = kind === 0 ? readText(Buffer.from(bytes.slice(0, length))) : "";
      return { handle: Buffer.from(attributes.get(3) ?? []), comment };
    });
  }

  /** Zero when there is no such table. */
  countRules(table: string): number {
    const writer = new MessageWriter().begin(GETRULE, NLM_F_DUMP, inet).text(1, table);
    return this.#socket.query(writer, "list rules").length;
  }

  countElements(table: string, set: string): number {
    const writer = new MessageWriter().begin(GETSETELEM, NLM_F_DUMP, inet).text(1, table).text(2, set);
    const messages = this.#socket.query(writer, "list elements");
    return messages.reduce((sum, { payload }) => {
      const list = readAttributes(payload, 4).get(3);
      return sum + (list === undefined ? 0 : [...readList(list)].length);
    }, 0);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
