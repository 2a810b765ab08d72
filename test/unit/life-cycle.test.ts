import assert from "node:assert/strict";
import { test } from "node:test";
import { mountOf } from "#base/mountinfo";
import { RestartBackoff, shouldRestart } from "../../src/engine/container/restart-policy.ts";
import { checkSignal, parseSignal } from "../../src/engine/container/signals.ts";

const policy = (Name: string, MaximumRetryCount = 0) => ({ Name, MaximumRetryCount });
const ended = (exitCode: number, restartCount = 0, isWanted = false) => ({ exitCode, restartCount, isWanted });

test("restart policy: on-failure counts, always and unless-stopped go on until they are told to stop", () => {
  assert.equal(shouldRestart(policy("no"), ended(1)), false);
  assert.equal(shouldRestart(policy(""), ended(1)), false);
  assert.equal(shouldRestart(policy("on-failure"), ended(0)), false);
  assert.equal(shouldRestart(policy("on-failure", 2), ended(1, 1)), true);
  assert.equal(shouldRestart(policy("on-failure", 2), ended(1, 2)), false);
  assert.equal(shouldRestart(policy("always"), ended(0, 99)), true);
  assert.equal(shouldRestart(policy("always"), ended(0, 0, true)), false);
  assert.equal(shouldRestart(policy("unless-stopped"), ended(0)), true);
});

test("restart policy: the pause doubles up to a minute, and a long run resets it", () => {
  const backoff = new RestartBackoff();
  assert.deepEqual(
    [0, 0, 0].map((ms) => backoff.next(ms)),
    [100, 200, 400],
  );
  for (let n = 0; n < 20; n++) backoff.next(0);
  assert.equal(backoff.next(0), 60_000);
  assert.equal(backoff.next(10_000), 100);
});

test("signals: names with and without SIG, numbers, real-time ones", () => {
  assert.equal(parseSignal("KILL"), 9);
  assert.equal(parseSignal("sigterm"), 15);
  assert.equal(parseSignal("2"), 2);
  assert.equal(parseSignal("RTMIN+3"), 37);
  assert.equal(parseSignal("SIGRTMAX-1"), 63);
  for (const text of ["BOGUS", "0", "", "1.5", "RTMIN+16", "RTMAX-15"])
    assert.throws(() => parseSignal(text), /invalid signal/);
  assert.throws(() => checkSignal(parseSignal("99")), { message: "the linux daemon does not support signal 99" });
});

test("exec root: the mount that a path lies on is the longest prefix, and the last of equals", () => {
  const mountinfo = [
    "1 0 8:1 / / rw shared:1 - ext4 /dev/vda rw",
    "2 1 0:5 / /run rw shared:2 - tmpfs tmpfs rw",
    "3 2 0:5 /minidock /run/minidock rw - tmpfs tmpfs rw",
    "",
  ].join("\n");
  assert.deepEqual(mountOf(mountinfo, "/run/minidock"), {
    root: "/minidock",
    mountPoint: "/run/minidock",
    isShared: false,
  });
  assert.deepEqual(mountOf(mountinfo, "/run/minidocks"), { root: "/", mountPoint: "/run", isShared: true });
  assert.deepEqual(mountOf(mountinfo, "/srv"), { root: "/", mountPoint: "/", isShared: true });
});
