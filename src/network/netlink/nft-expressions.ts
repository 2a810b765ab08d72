import { type MessageWriter, writeU32 } from "./message.ts";

/**
 * What an nf_tables rule is made of (include/uapi/linux/netfilter/nf_tables.h): small programs over registers.
 * Register 1 is 16 bytes; 8, 9 … name its first, second … 32-bit word and go on through the registers behind it.
 */
export type Expression = (writer: MessageWriter) => void;

const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;

export const registers = { verdict: 0, first: 1, word: (n: number): number => 8 + n };

export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

const meta = { iifname: 6, oifname: 7, nfproto: 15, l4proto: 16, iifkind: 26, oifkind: 27 } as const;
const ct = { state: 0, status: 2 } as const;
const NETWORK_HEADER = 1;
const TRANSPORT_HEADER = 2;
const verdicts = { drop: 0, accept: 1, jump: -3, return: -5 } as const;

function expression(name: string, write: (writer: MessageWriter) => void): Expression {
  return (writer) => {
    writer.nest(NFTA_LIST_ELEM, (element) => {
      element.text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, write);
    });
  };
}

export const loadMeta = (key: keyof typeof meta, register: number): Expression =>
  expression("meta", (writer) => writer.u32be(1, register).u32be(2, meta[key]));

export const loadConntrack = (key: keyof typeof ct, register: number): Expression =>
  expression("ct", (writer) => writer.u32be(1, register).u32be(2, ct[key]));

function loadPayload(base: number, offset: number, length: number, register: number): Expression {
  return expression("payload", (writer) => writer.u32be(1, register).u32be(2, base).u32be(3, offset).u32be(4, length));
}

export const loadSourceAddress4 = (register: number, length = 4): Expression =>
  loadPayload(NETWORK_HEADER, 12, length, register);
export const loadSourceAddress6 = (register: number): Expression => loadPayload(NETWORK_HEADER, 8, 16, register);
export const loadDestinationAddress4 = (register: number, length = 4): Expression =>
  loadPayload(NETWORK_HEADER, 16, length, register);
export const loadDestinationAddress6 = (register: number): Expression => loadPayload(NETWORK_HEADER, 24, 16, register);
/** TCP, UDP and SCTP have it in the same place. */
export const loadDestinationPort = (register: number): Expression => loadPayload(TRANSPORT_HEADER, 2, 2, register);

function compare(operator: number, register: number, value: Uint8Array): Expression {
  return expression("cmp", (writer) =>
    writer
      .u32be(1, register)
      .u32be(2, operator)
      .nest(3, (data) => data.bytes(NFTA_DATA_VALUE, value)),
  );
}

export const equals = (register: number, value: Uint8Array): Expression => compare(0, register, value);
export const differs = (register: number, value: Uint8Array): Expression => compare(1, register, value);

/** Goes on when one of the bits of a 32-bit number in the host's order is set. */
export function hasAnyBit(register: number, mask: number): Expression {
  const zero = Buffer.alloc(4);
  const bits = Buffer.alloc(4);
  writeU32(bits, 0, mask);
  const and = expression("bitwise", (writer) =>
    writer
      .u32be(1, register)
      .u32be(2, register)
      .u32be(3, 4)
      .nest(4, (data) => data.bytes(NFTA_DATA_VALUE, bits))
      .nest(5, (data) => data.bytes(NFTA_DATA_VALUE, zero)),
  );
  const test = differs(register, zero);
  return (writer) => {
    and(writer);
    test(writer);
  };
}

/** Goes on when the destination is an address of this host. */
export function isLocalDestination(register: number): Expression {
  const [FIB_RESULT_ADDRTYPE, FIB_F_DADDR, RTN_LOCAL] = [3, 2, 2];
  const type = Buffer.alloc(4);
  writeU32(type, 0, RTN_LOCAL);
  const load = expression("fib", (writer) =>
    writer.u32be(1, register).u32be(2, FIB_RESULT_ADDRTYPE).u32be(3, FIB_F_DADDR),
  );
  const test = equals(register, type);
  return (writer) => {
    load(writer);
    test(writer);
  };
}

export interface Lookup {
  readonly set: string;
  readonly register: number;
  /** For a map: where the value goes. */
  readonly into?: number;
  readonly isInverted?: boolean;
}

/** Goes on when the key in `register` is in the set. */
export const lookup = ({ set, register, into, isInverted }: Lookup): Expression =>
  expression("lookup", (writer) => {
    writer.text(1, set).u32be(2, register);
    if (into !== undefined) writer.u32be(3, into);
    if (isInverted === true) writer.u32be(5, 1);
  });

/** Puts a constant into a register. */
export const load = (register: number, value: Uint8Array): Expression =>
  expression("immediate", (writer) => writer.u32be(1, register).nest(2, (data) => data.bytes(NFTA_DATA_VALUE, value)));

function verdict(code: number, chain?: string): Expression {
  return expression("immediate", (writer) =>
    writer.u32be(1, registers.verdict).nest(2, (data) =>
      data.nest(NFTA_DATA_VERDICT, (inner) => {
        inner.u32be(NFTA_VERDICT_CODE, code);
        if (chain !== undefined) inner.text(NFTA_VERDICT_CHAIN, chain);
      }),
    ),
  );
}

/** Each of iptables' rules has one. */
export const counter: Expression = expression("counter", () => undefined);

export const accept: Expression = verdict(verdicts.accept);
export const drop: Expression = verdict(verdicts.drop);
export const giveBack: Expression = verdict(verdicts.return);
export const jump = (chain: string): Expression => verdict(verdicts.jump, chain);

/** The destination becomes the address and port in these registers. */
export function dnat(family: number, addressRegister: number, portRegister: number): Expression {
  const NFT_NAT_DNAT = 1;
  return expression("nat", (writer) =>
    writer.u32be(1, NFT_NAT_DNAT).u32be(2, family).u32be(3, addressRegister).u32be(5, portRegister),
  );
}

/** The source becomes the address in this register. */
export function snat(family: number, addressRegister: number): Expression {
  const NFT_NAT_SNAT = 0;
  return expression("nat", (writer) => writer.u32be(1, NFT_NAT_SNAT).u32be(2, family).u32be(3, addressRegister));
}

/** The source becomes the address of the interface that the packet leaves by. */
export const masquerade: Expression = expression("masq", () => undefined);
