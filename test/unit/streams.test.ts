import assert from "node:assert/strict";
import { once } from "node:events";
import { Readable } from "node:stream";
import { test } from "node:test";
import { DetachScanner, parseDetachKeys } from "../../src/engine/stream/detach-keys.ts";
import { StdcopyStrip } from "../../src/engine/stream/stdcopy-strip.ts";
import { StdcopyWrap } from "../../src/engine/stream/stdcopy-wrap.ts";

async function scan(keys: string, chunks: string[]): Promise<{ passed: string; isDetached: boolean }> {
  let isDetached = false;
  const scanner = new DetachScanner(parseDetachKeys(keys) ?? Buffer.alloc(0), () => {
    isDetached = true;
  });
  const passed = Readable.from(chunks.map((chunk) => Buffer.from(chunk)))
    .pipe(scanner)
    .toArray();
  return { passed: Buffer.concat(await passed).toString(), isDetached };
}

test("detach keys: names, control keys and single characters; anything else is none", () => {
  assert.deepEqual(parseDetachKeys(""), Buffer.from([16, 17]));
  assert.deepEqual(parseDetachKeys("ctrl-a,x,DEL,ctrl-["), Buffer.from([1, 120, 127, 27]));
  for (const text of ["bogus", "a,,", "ctrl-", "ctrl-1", "ctrl-ab", "ctrl-A"])
    assert.equal(parseDetachKeys(text), undefined);
});

test("detach keys: the sequence detaches, also across chunks, and what came before is passed on", async () => {
  assert.deepEqual(await scan("", ["ab\x10\x11cd"]), { passed: "ab", isDetached: true });
  assert.deepEqual(await scan("", ["ab\x10", "\x11cd"]), { passed: "ab", isDetached: true });
});

test("detach keys: a false start is passed on unchanged", async () => {
  assert.deepEqual(await scan("", ["a\x10b"]), { passed: "a\x10b", isDetached: false });
  assert.deepEqual(await scan("", ["\x10\x10\x11"]), { passed: "\x10\x10\x11", isDetached: false });
  assert.deepEqual(await scan("", ["\x10x\x10\x11"]), { passed: "\x10x", isDetached: true });
  assert.deepEqual(await scan("", ["end\x10"]), { passed: "end\x10", isDetached: false });
});

test("stdcopy strip: frames lose their headers, wherever the chunks are cut", async () => {
  const frame = (stream: number, text: string) => {
    const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32BE(text.length, 4);
    return Buffer.concat([header, Buffer.from(text)]);
  };
  const bytes = Buffer.concat([frame(1, "hello "), frame(2, "big "), frame(1, ""), frame(1, "world")]);
  for (const size of [1, 3, 8, 9, bytes.length]) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
      bytes.subarray(n * size, (n + 1) * size),
    );
    const strip = Readable.from(chunks).pipe(new StdcopyStrip());
    const text: Buffer[] = [];
    strip.on("data", (chunk: Buffer) => text.push(chunk));
    await once(strip, "end");
    assert.equal(Buffer.concat(text).toString(), "hello big world");
  }
});

test("stdcopy wrap: what a terminal says becomes frames of stdout", async () => {
  const wrapped = Readable.from([Buffer.from("hello "), Buffer.from("world")]).pipe(new StdcopyWrap());
  const bytes = Buffer.concat(await wrapped.toArray());
  assert.deepEqual(bytes, Buffer.from("\x01\0\0\0\0\0\0\x06hello \x01\0\0\0\0\0\0\x05world", "latin1"));
});
