/** Answers every query with the address 203.0.113.7, over UDP and TCP, on port 53 of the address in its argument. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const address = process.argv[2];
const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 7];

function answer(query: Buffer): Buffer {
  const end = query.indexOf(0, 12) + 5;
  const head = Buffer.from(query.subarray(0, end));
  head[2] = (head[2] ?? 0) | 0x80;
  head.writeUInt16BE(1, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, Buffer.from(record)]);
}

// As many as are asked at once wait in the kernel.
const datagrams = createSocket({ type: "udp4", recvBufferSize: 16 << 20 });
datagrams.on("message", (query, { port, address: client }) => datagrams.send(answer(query), port, client));
datagrams.bind(53, address, () => {
  createServer((client) => {
    client
      .on("error", () => undefined)
      .on("data", (query: Buffer) => {
        const message = answer(query.subarray(2));
        client.end(Buffer.concat([Buffer.from([message.length >> 8, message.length & 0xff]), message]));
      });
  }).listen(53, address);
});
