import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageWriter, readAttributes, readList, readMessages, readText } from "../../src/network/netlink/message.ts";
import { NftBatch } from "../../src/network/netlink/nftables.ts";

test("messages: lengths, padding and sequence numbers are those of netlink(7)", () => {
  const writer = new MessageWriter(16).begin(16, 0x4, Buffer.alloc(4)).text(3, "lo").u32(4, 1500);
  writer.begin(17, 0, Buffer.alloc(4)).nest(5, (inner) => inner.u8(1, 7).text(2, "abc"));
  const messages = [...readMessages(writer.finish(9))];
  assert.deepEqual(
    messages.map(({ type, flags, sequence }) => [type, flags, sequence]),
    [
      [16, 0x5, 9],
      [17, 0x1, 10],
    ],
  );
  const [first, second] = messages;
  assert.equal(readText(readAttributes(first?.payload ?? Buffer.alloc(0), 4).get(3)), "lo");
  const nested = readAttributes(second?.payload ?? Buffer.alloc(0), 4).get(5);
  assert.deepEqual(
    [...readList(nested ?? Buffer.alloc(0))].map(([type]) => type),
    [1, 2],
  );
});

test("messages: a truncated one is refused, not read past its end", () => {
  const bytes = new MessageWriter().begin(16, 0, Buffer.alloc(4)).text(3, "eth0").finish(1);
  assert.throws(() => [...readMessages(bytes.subarray(0, bytes.length - 4))], /truncated/);
});

test("elements: thousands are split into messages whose lists fit sixteen bits", () => {
  const elements = Array.from({ length: 3000 }, (_, i) => ({
    key: Buffer.from([i >> 8, i & 255, 0, 0]),
    value: Buffer.alloc(20),
  }));
  const batch = new NftBatch("t").addElements("any4", elements);
  const { last } = batch.end();
  const messages = [...readMessages(batch.writer.finish(1))];
  assert.equal(messages.length, last + 2);
  const lists = messages.slice(1, -1).map(({ payload }) => readAttributes(payload, 4).get(3) ?? Buffer.alloc(0));
  assert.equal(
    lists.reduce((sum, list) => sum + [...readList(list)].length, 0),
    3000,
  );
  assert.deepEqual(messages.map(({ flags }) => (flags & 0x4) !== 0).lastIndexOf(true), last);
});
