import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyContainerConfig, parseImageConfig } from "../../src/engine/image/config/config.ts";
import { encodeImageConfig } from "../../src/engine/image/config/json.ts";
import { matchPath } from "../../src/engine/image/path-match.ts";
import { advance, humanSize, type ProgressMessage, ProgressMeter } from "../../src/engine/image/transfer/progress.ts";
import { Transfers } from "../../src/engine/image/transfer/transfers.ts";

test("progress: the bar is drawn as moby draws it", () => {
  const written: ProgressMessage[] = [];
  const output = { write: (message: ProgressMessage) => void written.push(message) };
  advance(output, "abc", "Downloading", 154, 154);
  advance(output, "abc", "Downloading", 50, 100);
  advance(output, "abc", "Pushing", 512, 20);
  advance(output, "", "Importing", 1000, 0);
  assert.deepEqual(
    written.map((message) => message.progress),
    [
      "[==================================================>]     154B/154B",
      "[=========================>                         ]      50B/100B",
      "[==================================================>]     512B",
      "     1kB",
    ],
  );
  assert.deepEqual(Object.keys(written[0] ?? {}), ["status", "progressDetail", "progress", "id"]);
});

test("progress: sizes have four digits and decimal units", () => {
  assert.deepEqual([0, 999, 1000, 1984158, 10240, 1e12].map(humanSize), [
    "0B",
    "999B",
    "1kB",
    "1.984MB",
    "10.24kB",
    "1TB",
  ]);
});

test("progress: a meter thins out steps and always reaches the end", () => {
  const steps: number[] = [];
  const meter = new ProgressMeter(1_000_000, 0, (current) => steps.push(current));
  for (let i = 0; i < 1000; i++) meter.add(1000);
  assert.ok(steps.length < 20);
  assert.equal(steps.at(-1), 1_000_000);
});

const patterns: readonly (readonly [pattern: string, text: string, isMatch: boolean])[] = [
  ["busybox", "busybox", true],
  ["busy*", "busybox:1", true],
  ["a/*", "a/b:1", true],
  ["*", "a/b", false],
  ["a?c", "abc", true],
  ["a?c", "a/c", false],
  ["[a-c]x", "bx", true],
  ["[^a-c]x", "bx", false],
  ["a\\*", "a*", true],
  ["a.c", "abc", false],
  ["hello-world", "hello-world", true],
  ["[a\\-]x", "-x", true],
];
for (const [pattern, text, isMatch] of patterns) {
  test(`reference filter: ${pattern} ${isMatch ? "matches" : "does not match"} ${text}`, () => {
    assert.equal(matchPath(pattern, text), isMatch);
  });
}

test("reference filter: a broken pattern is an error", () => {
  for (const pattern of ["[", "a[", "[]", "x\\"])
    assert.throws(() => matchPath(pattern, "a"), { message: "syntax error in pattern" });
});

test("image config: a config is read as Go reads it", () => {
  const config = parseImageConfig(
    '{"ROOTFS":{"type":"layers"},"Os":"linux","config":{"cmd":"sh","ENV":null,"unknown":1},"history":null}',
  );
  assert.equal(config.os, "linux");
  assert.deepEqual(config.config.Cmd, ["sh"]);
  assert.deepEqual(config.rootfs.diffIds, []);
});

for (const json of [
  "",
  "null",
  "{}",
  "[]",
  '{"rootfs":null}',
  '{"rootfs":{"diff_ids":["x"]}}',
  '{"rootfs":{},"history":[{}]}',
  '{"rootfs":{},"config":[]}',
  '{"rootfs":{},"config":{"Env":[1]}}',
]) {
  test(`image config: ${json || "nothing"} is refused`, () => {
    assert.throws(() => parseImageConfig(json), { kind: "invalidParameter" });
  });
}

test("image config: what we write is what moby writes", () => {
  const empty =
    '{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}';
  const text = encodeImageConfig({
    ...parseImageConfig(
      '{"rootfs":{"type":"layers"},"created":"2026-01-01T00:00:00.5Z","architecture":"amd64","os":"linux"}',
    ),
    config: { ...emptyContainerConfig(), Labels: { b: "<&>", a: "1" } },
  });
  const labelled = empty.replace('"Labels":null', '"Labels":{"a":"1","b":"\\u003c\\u0026\\u003e"}');
  assert.equal(
    text,
    `{"architecture":"amd64","config":${labelled},"container_config":${empty},"created":"2026-01-01T00:00:00.5Z","os":"linux","rootfs":{"type":"layers"}}`,
  );
});

test("transfers: several clients share one, and it ends early only when all have gone", async () => {
  const transfers = new Transfers<string>(() => 1);
  let runs = 0;
  const gate = Promise.withResolvers<void>();
  let wasAborted = false;
  const seen: string[][] = [[], []];
  const [first, second] = [new AbortController(), new AbortController()];
  const join = (index: number, signal: AbortSignal) =>
    transfers.share(
      "k",
      { write: (message) => void seen[index]?.push(message.status ?? "") },
      signal,
      async (transfer) => {
        runs++;
        transfer.signal.addEventListener("abort", () => (wasAborted = true));
        transfer.output.write({ status: "half" });
        await gate.promise;
        return "done";
      },
    );
  const [a, b] = [join(0, first.signal), join(1, second.signal)];
  first.abort(new Error("gone"));
  await assert.rejects(a, { message: "gone" });
  assert.equal(wasAborted, false);
  gate.resolve();
  assert.equal(await b, "done");
  assert.equal(runs, 1);
  assert.deepEqual(seen[1], ["half"]);
  const third = new AbortController();
  const lost = transfers.share(
    "l",
    { write: () => undefined },
    third.signal,
    ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  );
  third.abort(new Error("gone too"));
  await assert.rejects(lost, { message: "gone too" });
});
