import assert from "node:assert/strict";
import { test } from "node:test";
import { sleep } from "../../src/base/clock.ts";
import { formatDuration, readDuration } from "../../src/base/duration.ts";
import { parseGoTime, rfc3339 } from "../../src/base/go-time.ts";
import { parseTimestamp } from "../../src/engine/timestamp.ts";

const now = 1_700_000_000_500_000_000n;
const at = (date: string) => BigInt(Date.parse(date)) * 1_000_000n;

const times: readonly (readonly [string, bigint])[] = [
  ["1700000000.123456789", 1_700_000_000_123_456_789n],
  ["0", 0n],
  ["10m", at("2023-11-14T22:03:20Z")],
  ["1h30m", at("2023-11-14T20:43:20Z")],
  ["-5h", at("2023-11-15T03:13:20Z")],
  ["2023-11-14T22:13:20Z", at("2023-11-14T22:13:20Z")],
  ["2023-11-14T22:13:20.5+02:00", at("2023-11-14T20:13:20.500Z")],
  ["2023-11-14T22:13:20", at("2023-11-14T22:13:20Z")],
  ["2023-11-14T22:13", at("2023-11-14T22:13:00Z")],
  ["2023-11-14T22", at("2023-11-14T22:00:00Z")],
  ["2023-11-14T22-01:00", at("2023-11-14T23:00:00Z")],
  ["2023-11-14", at("2023-11-14T00:00:00Z")],
  ["2023-11-14Z", at("2023-11-14T00:00:00Z")],
  ["0001-01-01", at("0001-01-01T00:00:00Z")],
];
for (const [text, expected] of times) {
  test(`timestamp: ${text} is a duration before now, a date or a Unix time`, () => {
    assert.equal(parseTimestamp(text, now), expected);
  });
}

const faults: readonly (readonly [string, string])[] = [
  ["bogus", 'failed to parse value as time or duration: "bogus"'],
  ["1.5.5", 'failed to parse value as time or duration: "1.5.5"'],
  ["9999999999999999999999", 'failed to parse value as time or duration: "9999999999999999999999"'],
  ["-1", 'parsing time "-1" as "2006-01-02": cannot parse "-1" as "2006"'],
  ["2021-06", 'parsing time "2021-06" as "2006-01-02": cannot parse "" as "-"'],
  ["2021-13-01", 'parsing time "2021-13-01": month out of range'],
  ["2021-02-29", 'parsing time "2021-02-29": day out of range'],
  ["2021-06-01T24:00", 'parsing time "2021-06-01T24:00": hour out of range'],
  ["2021-06-01 00:00:00", 'parsing time "2021-06-01 00:00:00": extra text: " 00:00:00"'],
];
for (const [text, message] of faults) {
  test(`timestamp: ${text} is refused in Go's words`, () => {
    assert.throws(() => parseTimestamp(text, now), { message });
  });
}

test("time: a layout without zone takes none, and one with a zone needs it", () => {
  assert.throws(() => parseGoTime(rfc3339, "2021-06-01T00:00:00z"), /cannot parse "z" as "Z07:00"/);
  assert.throws(() => parseGoTime("2006-01-02", "2021-06-01Z"), /extra text: "Z"/);
});

const durationFaults: readonly (readonly [string, string])[] = [
  ["", 'time: invalid duration ""'],
  ["x", 'time: invalid duration "x"'],
  ["5", 'time: missing unit in duration "5"'],
  ["5y", 'time: unknown unit "y" in duration "5y"'],
  ["1h.", 'time: invalid duration "1h."'],
];
for (const [text, fault] of durationFaults) {
  test(`duration: "${text}" is refused in Go's words`, () => assert.deepEqual(readDuration(text), { fault }));
}

test("duration: it is written as Go writes it", () => {
  const written = [20, 1500, 60_000, 90_500, 3_605_000].map(formatDuration);
  assert.deepEqual(written, ["20ms", "1.5s", "1m0s", "1m30.5s", "1h0m5s"]);
});

test("sleep: a month is longer than a moment, though a timer cannot count its milliseconds", async () => {
  const over = new AbortController();
  const month = sleep(2 ** 31, over.signal).then(
    () => "month",
    () => "aborted",
  );
  assert.equal(await Promise.race([month, sleep(20).then(() => "moment")]), "moment");
  over.abort();
  assert.equal(await month, "aborted");
});
