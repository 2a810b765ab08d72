/** Asks 127.0.0.11 for a name so many times at once, and prints how many good answers came: `name-flood.ts NAME COUNT`. */
import { createSocket } from "node:dgram";

const [name = "", count = "1"] = process.argv.slice(2);
const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));

function query(id: number): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id);
  head[2] = 1;
  head.writeUInt16BE(1, 4);
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

let good = 0;
function finish(): void {
  process.stdout.write(`${good}\n`, () => process.exit());
}
// The answers wait for the asker in the kernel: root may have as much room for them as it needs.
const socket = createSocket({ type: "udp4", recvBufferSize: 16 << 20 });
socket.on("message", (message) => {
  if (((message[3] ?? 0) & 15) === 0 && message.readUInt16BE(6) === 1) good += 1;
  if (good === Number(count)) finish();
});
socket.bind(0, () => {
  for (let id = 0; id < Number(count); id += 1) socket.send(query(id), 53, "127.0.0.11");
});
setTimeout(finish, 10_000);
