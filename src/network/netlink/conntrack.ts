import { NETLINK_NETFILTER } from "#native";
import type { Family } from "../address.ts";
import { type Message, MessageWriter, NLM_F_ACK, NLM_F_DUMP, readAttributes } from "./message.ts";
import { NetlinkSocket } from "./socket.ts";

/** Connection tracking of the host (include/uapi/linux/netfilter/nfnetlink_conntrack.h). */
const subsystem = 1;
const CT_GET = (subsystem << 8) | 1;
const CT_DELETE = (subsystem << 8) | 2;
const CTA_TUPLE_ORIG = 1;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
/** include/net/netfilter: which parts of the tuple count. */
const FILTER_PROTO_NUM = 1 << 3;
const FILTER_PROTO_DST_PORT = 1 << 5;
const UDP = 17;
/** Each port asked for by itself is a walk by the kernel; many are looked for among all flows here. */
const portsAskedSingly = 4;

const header = (family: Family): Uint8Array => Uint8Array.of(family === 4 ? 2 : 10, 0, 0, 0);

/** Ends what is known of datagrams to ports of the host. */
export class ConntrackSocket implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK_NETFILTER);

  /** The kernel walks through all its flows, which takes milliseconds of a thread of the pool. One at a time. */
  async forgetDatagrams(family: Family, ports: ReadonlySet<number>): Promise<void> {
    for (const port of ports.size <= portsAskedSingly ? ports : [undefined]) {
      const flows = await this.#socket.queryInBackground(listFlows(family, port), "list flows");
      for (const flow of flows) if (ports.has(destinationPort(flow))) this.#delete(family, flow);
    }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #delete(family: Family, flow: Message): void {
    const attributes = readAttributes(flow.payload, 4);
    const writer = new MessageWriter().begin(CT_DELETE, NLM_F_ACK, header(family));
    writer.nest(CTA_TUPLE_ORIG, (tuple) => tuple.raw(attributes.get(CTA_TUPLE_ORIG) ?? none));
    const zone = attributes.get(CTA_ZONE);
    if (zone !== undefined) writer.bytes(CTA_ZONE, zone);
    // It may have ended by itself.
    this.#socket.requestEach(writer, "forget a flow");
  }
}

const none = Buffer.alloc(0);

/** Kernels before 5.8 do not look at the filter and tell of every flow. */
function listFlows(family: Family, port: number | undefined): MessageWriter {
  const flags = FILTER_PROTO_NUM | (port === undefined ? 0 : FILTER_PROTO_DST_PORT);
  return new MessageWriter()
    .begin(CT_GET, NLM_F_DUMP, header(family))
    .nest(CTA_TUPLE_ORIG, (tuple) =>
      tuple.nest(CTA_TUPLE_PROTO, (protocol) => {
        protocol.u8(CTA_PROTO_NUM, UDP);
        if (port !== undefined) protocol.bytes(CTA_PROTO_DST_PORT, Uint8Array.of(port >> 8, port & 0xff));
      }),
    )
    .nest(CTA_FILTER, (filter) => filter.u32(CTA_FILTER_ORIG_FLAGS, flags).u32(CTA_FILTER_REPLY_FLAGS, 0));
}

/** -1 for what is not UDP. */
function destinationPort({ payload }: Message): number {
  const tuple = readAttributes(readAttributes(payload, 4).get(CTA_TUPLE_ORIG) ?? none);
  const protocol = readAttributes(tuple.get(CTA_TUPLE_PROTO) ?? none);
  const port = protocol.get(CTA_PROTO_DST_PORT);
  return protocol.get(CTA_PROTO_NUM)?.[0] === UDP && port !== undefined ? port.readUInt16BE() : -1;
}
