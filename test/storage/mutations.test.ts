import assert from "node:assert/strict";
import { closeSync, constants, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Budget } from "../../storage/archive/budget.ts";
import { Placer } from "../../storage/archive/placer.ts";
import { placeWhiteout } from "../../storage/layers/whiteouts.ts";
import { TarReader } from "../../storage/tar/reader.ts";
import { testFolder } from "./rig.ts";
import { directory, file, link, symlink, tarOf } from "./tar-builder.ts";

const runs = 1000;

/** The same numbers each time: a failure says which run it was. */
class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
  of<T>(list: readonly T[]): T {
    const item = list[this.below(list.length)];
    assert.ok(item !== undefined);
    return item;
  }
}

const sparse = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9000" };
const map = Buffer.alloc(512);
map.write("1\n4096\n3\n");

const seeds = (host: string): readonly Buffer[] => [
  tarOf(directory("d/"), file("d/f", "hello"), link("h", "d/f"), symlink("s", "d"), file("s/x")),
  tarOf(symlink("out", host), file("out/evil"), link("stolen", "out/secret")),
  tarOf(directory("d/"), file("d/.wh.x", ""), file("d/.wh..wh..opq", ""), file(".wh.d", "")),
  tarOf({ ...file("p"), pax: { path: "long/".repeat(40), "SCHILY.xattr.user.x": "1", mtime: "1.5", uid: "70000" } }),
  tarOf(
    { ...file("g".repeat(120)), isGnu: true },
    { name: "n", type: "3", major: 1, minor: 3 },
    { name: "q", type: "6" },
  ),
  tarOf({ ...file("sp", Buffer.concat([map, Buffer.from("abc")])), pax: sparse }),
];
const fields = [0, 100, 108, 116, 124, 136, 156, 157, 257, 329, 345, 482, 483];
const words = [
  "../",
  "/",
  ".wh.",
  "\0",
  "\x80",
  "\xff\xff",
  "x",
  "g",
  "L",
  "K",
  "S",
  "1",
  "2",
  "99999999999",
  "-1",
  "path=",
  "size=0",
  "\n",
];

function mutated(dice: Dice, host: string, all: readonly Buffer[]): Buffer {
  let tar = Buffer.concat([dice.of(all), dice.of(all)]);
  for (let left = 1 + dice.below(5); left > 0; left--) {
    const block = dice.below(tar.length >> 9) << 9;
    const change = dice.below(5);
    if (change === 0) tar[dice.below(tar.length)] = dice.below(256);
    else if (change === 1)
      tar.write(dice.of([...words, `${host}/evil`, `../../../../../..${host}`]), block + dice.of(fields), "latin1");
    else if (change === 2) tar = Buffer.from(tar.subarray(0, Math.max(512, dice.below(tar.length))));
    else if (change === 3) tar.copy(tar, dice.below(tar.length), block, block + 512);
    else
      tar = Buffer.concat([
        tar.subarray(0, block),
        Buffer.alloc(dice.below(600), dice.below(256)),
        tar.subarray(block),
      ]);
    if (tar.length >= block + 512) putSum(tar.subarray(block, block + 512));
  }
  return tar;
}

function putSum(header: Buffer): void {
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}

test(`${runs} tars with changed bytes: each is unpacked or refused with a code, and none gets out`, async () => {
  await using folder = testFolder();
  const [host, root] = [join(folder.path, "host"), join(folder.path, "root")];
  mkdirSync(host);
  writeFileSync(join(host, "secret"), "secret");
  const all = seeds(host);
  const dice = new Dice(20_260_101);
  let wholeCount = 0;
  for (let run = 0; run < runs; run++) {
    const tar = mutated(dice, host, all);
    const failure = unpack(root, tar, dice.of([1, 511, 4096]));
    if (failure === undefined) wholeCount++;
    else assert.match(`${Reflect.get(failure, "code")}`, /^E[A-Z]+$/, `run ${run}: ${failure.stack}`);
    assert.deepEqual(
      [readdirSync(host), readFileSync(join(host, "secret"), "utf8")],
      [["secret"], "secret"],
      `run ${run}`,
    );
  }
  assert.ok(wholeCount > runs / 50 && wholeCount < runs, `${wholeCount} came whole: these tars test little`);
});

function unpack(root: string, tar: Buffer, pieceBytes: number): Error | undefined {
  mkdirSync(root);
  const rootFd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const budget = new Budget({ maxEntries: 1000, maxBytes: 1 << 26 }, root);
    using placer = new Placer({ rootFd, budget, intercept: placeWhiteout });
    const reader = new TarReader(placer);
    for (let at = 0; at < tar.length; at += pieceBytes) reader.write(tar.subarray(at, at + pieceBytes));
    reader.end();
    placer.finish();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    closeSync(rootFd);
    rmSync(root, { recursive: true });
  }
}
