import * as nft from "./netlink/nft-expressions.ts";
import { NftBatch, NftSocket } from "./netlink/nftables.ts";

const table = "minidock-dns";
const resolver = Uint8Array.of(127, 0, 0, 11);
const R1 = nft.registers.first;
const word = nft.registers.word;
const protocols = { udp: 17, tcp: 6 } as const;

/**
 * Runs inside a container's namespace: port 53 of 127.0.0.11 leads to our sockets. Answers come back by connection tracking.
 * A new namespace has no table of ours to delete first, and must not: closing a socket behind a deletion waits 20 ms for RCU.
 */
export function redirectDns(ports: { readonly udp: number; readonly tcp: number }, isNew: boolean): void {
  using socket = new NftSocket();
  const batch = new NftBatch(table);
  (isNew ? batch.addTable() : batch.resetTable())
    .addChain({ name: "output", base: { type: "nat", hook: "output", priority: -100 } })
    .addRule("output", redirect(protocols.udp, ports.udp))
    .addRule("output", redirect(protocols.tcp, ports.tcp));
  socket.commit(batch, "redirect names");
}

const redirect = (protocol: number, port: number): nft.Expression[] => [
  nft.loadMeta("nfproto", R1),
  nft.equals(R1, Uint8Array.of(nft.NFPROTO_IPV4)),
  nft.loadDestinationAddress4(R1),
  nft.equals(R1, resolver),
  nft.loadMeta("l4proto", R1),
  nft.equals(R1, Uint8Array.of(protocol)),
  nft.loadDestinationPort(R1),
  nft.equals(R1, Uint8Array.of(0, 53)),
  nft.load(word(0), resolver),
  nft.load(word(1), Uint8Array.of(port >> 8, port & 0xff)),
  nft.dnat(nft.NFPROTO_IPV4, word(0), word(1)),
];
