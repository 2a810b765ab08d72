import assert from "node:assert/strict";
import { test } from "node:test";
import { applyChanges } from "../../src/engine/dockerfile/changes.ts";
import { emptyContainerConfig } from "../../src/engine/image/config/config.ts";

const after = (...changes: string[]) => applyChanges({ ...emptyContainerConfig(), Env: ["A=1"] }, changes);

test("changes: CMD and ENTRYPOINT know the exec and the shell form", () => {
  assert.deepEqual(after('CMD ["cat","/file"]').Cmd, ["cat", "/file"]);
  assert.deepEqual(after("CMD cat /file").Cmd, ["/bin/sh", "-c", "cat /file"]);
  assert.deepEqual(after("cmd [cat, x]").Cmd, ["/bin/sh", "-c", "[cat, x]"]);
  const both = after('CMD ["a"]', 'ENTRYPOINT ["b"]');
  assert.deepEqual([both.Entrypoint, both.Cmd], [["b"], ["a"]]);
  const base = { ...emptyContainerConfig(), Cmd: ["old"] };
  assert.equal(applyChanges(base, ['ENTRYPOINT ["b"]']).Cmd, null);
  assert.deepEqual(base.Cmd, ["old"]);
});

test("changes: ENV replaces in place, appends, expands and takes the old form", () => {
  assert.deepEqual(after("ENV B=2 C=3").Env, ["A=1", "B=2", "C=3"]);
  assert.deepEqual(after("ENV A=2").Env, ["A=2"]);
  assert.deepEqual(after("ENV A=5 B=$A C=${A:-x} D=${N:-y} E=${A:+z}").Env, ["A=5", "B=1", "C=1", "D=y", "E=z"]);
  assert.deepEqual(after("ENV B=\"a b\" C=a\\ b D='$A' E=\\$A").Env, ["A=1", "B=a b", "C=a b", "D=$A", "E=$A"]);
  assert.deepEqual(after("ENV B a long value").Env, ["A=1", "B=a long value"]);
});

test("changes: EXPOSE takes ranges, protocols and variables", () => {
  assert.deepEqual(Object.keys(after("EXPOSE 80 53/udp 90-92").ExposedPorts ?? {}), [
    "53/udp",
    "80/tcp",
    "90/tcp",
    "91/tcp",
    "92/tcp",
  ]);
  assert.deepEqual(Object.keys(after('ENV P="80 81"', "EXPOSE $P").ExposedPorts ?? {}), ["80/tcp", "81/tcp"]);
});

test("changes: LABEL, USER, VOLUME, WORKDIR, STOPSIGNAL and ONBUILD set their fields", () => {
  const config = after(
    "LABEL a=b c.d='e f'",
    "USER me:us",
    'VOLUME ["/x y"]',
    "VOLUME /a /b",
    "WORKDIR /srv",
    "WORKDIR app",
    "STOPSIGNAL SIGTERM",
    "ONBUILD RUN make",
  );
  assert.deepEqual(config.Labels, { a: "b", "c.d": "e f" });
  assert.equal(config.User, "me:us");
  assert.deepEqual(Object.keys(config.Volumes ?? {}), ["/x y", "/a", "/b"]);
  assert.equal(config.WorkingDir, "/srv/app");
  assert.equal(config.StopSignal, "SIGTERM");
  assert.deepEqual(config.OnBuild, ["RUN make"]);
});

test("changes: HEALTHCHECK reads its flags", () => {
  const config = after("HEALTHCHECK --interval=5m --timeout=3s --retries=2 CMD curl -f localhost || exit 1");
  assert.deepEqual(config.Healthcheck, {
    Test: ["CMD-SHELL", "curl -f localhost || exit 1"],
    Interval: 300e9,
    Timeout: 3e9,
    StartPeriod: 0,
    StartInterval: 0,
    Retries: 2,
  });
  assert.deepEqual(after("HEALTHCHECK NONE").Healthcheck?.Test, ["NONE"]);
});

test("changes: lines go on, comments are left out", () => {
  assert.deepEqual(after("ENV B=2 \\\n  # no\n  C=3").Env, ["A=1", "B=2", "C=3"]);
  assert.deepEqual(after("# escape=`\nENV B=a`\n  C=3").Env?.slice(1), ["B=a", "C=3"]);
});

const refused: readonly (readonly [change: string, message: string])[] = [
  ["BOGUS x", "BOGUS is not a valid change command"],
  ["RUN x", "RUN is not a valid change command"],
  ['SHELL ["x"]', "SHELL is not a valid change command"],
  ["# nothing", "file with no instructions"],
  ["ENV", "ENV requires at least one argument"],
  ["ENV A", "ENV must have two arguments"],
  ["ENV A=1 B", 'Syntax error - can\'t find = in "B". Must be of the form: name=value'],
  ["ENV =1", "ENV names can not be blank"],
  ["USER", "USER requires exactly one argument"],
  ["EXPOSE x", "invalid containerPort: x"],
  ["EXPOSE 80/foo", "invalid proto: foo"],
  ["VOLUME []", "VOLUME requires at least one argument"],
  ["STOPSIGNAL BOGUS", "invalid signal: BOGUS"],
  ["ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"],
  ["HEALTHCHECK FOO x", 'Unknown type "FOO" in HEALTHCHECK (try CMD)'],
  ["HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'],
  ["HEALTHCHECK --bogus=1 CMD x", "unknown flag: --bogus"],
  ["ENV B=${A:-x", "failed to process \"${A:-x\": syntax error: missing '}'"],
  ['CMD ["a", 1]', "when using JSON array syntax, arrays must be comprised of strings only"],
];
for (const [change, message] of refused) {
  test(`changes: ${change} is refused`, () => {
    assert.throws(() => after(change), { kind: "invalidParameter", message });
  });
}
