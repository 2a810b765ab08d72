import assert from "node:assert/strict";
import { test } from "node:test";
import {
  choosePool,
  defaultAddressPools,
  formatAddress,
  formatPrefix,
  overlaps,
  Pool,
  type Prefix,
  parseAddress,
  parseCidr,
  parsePrefix,
} from "#network";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed, text);
  return parsed;
}
function address(text: string) {
  const parsed = parseAddress(text);
  assert.ok(parsed, text);
  return parsed;
}

test("addresses: both families are read and written in their canonical form", () => {
  for (const text of ["0.0.0.0", "172.17.255.1", "::", "::1", "fd00::2", "2001:db8:0:1::ff"]) {
    assert.equal(formatAddress(address(text)), text);
  }
  assert.deepEqual(address("::ffff:10.0.0.1"), address("10.0.0.1"));
  for (const text of ["", "1.2.3", "1.2.3.4.5", "256.0.0.1", "g::", "fe80::1%eth0"])
    assert.equal(parseAddress(text), undefined);
});

test("prefixes: host bits, lengths and overlaps", () => {
  assert.equal(parsePrefix("10.0.0.1/24"), undefined);
  assert.equal(formatPrefix(parseCidr("10.0.0.1/24")?.prefix ?? prefix("0.0.0.0/0")), "10.0.0.0/24");
  for (const text of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0", "::/129"])
    assert.equal(parseCidr(text), undefined);
  assert.ok(overlaps(prefix("10.0.0.0/8"), prefix("10.89.0.0/25")));
  assert.ok(!overlaps(prefix("10.89.0.0/25"), prefix("10.89.0.128/25")));
  assert.ok(!overlaps(prefix("0.0.0.0/0"), prefix("::/0")));
});

test("choosePool: dockerd's order, and around what is taken", () => {
  const choose = (...taken: string[]) => formatPrefix(choosePool(defaultAddressPools, 4, taken.map(prefix)));
  assert.equal(choose(), "172.17.0.0/16");
  assert.equal(choose("172.17.0.0/16"), "172.18.0.0/16");
  assert.equal(choose("172.16.0.0/12"), "192.168.0.0/20");
  assert.equal(choose("172.16.0.0/12", "192.168.1.0/24"), "192.168.16.0/20");
  assert.equal(choose("172.17.3.0/24", "172.18.0.1/32"), "172.19.0.0/16");
  assert.throws(() => choose("0.0.0.0/0"), /all predefined address pools have been fully subnetted/);
});

test("choosePool: an obstacle of millions of pieces costs one step", () => {
  const pools = [{ base: prefix("10.0.0.0/8"), size: 30 }];
  assert.equal(formatPrefix(choosePool(pools, 4, [prefix("10.0.0.0/9")])), "10.128.0.0/30");
});

test("lease: the lowest free address, and a released one again", () => {
  const pool = new Pool(prefix("172.17.0.0/16"));
  const take = () => formatAddress(pool.lease());
  assert.deepEqual([take(), take(), take()], ["172.17.0.1", "172.17.0.2", "172.17.0.3"]);
  pool.release(address("172.17.0.2"));
  assert.equal(take(), "172.17.0.2");
  pool.leaseExactly(address("172.17.0.4"));
  assert.equal(take(), "172.17.0.5");
  assert.throws(() => pool.leaseExactly(address("172.17.0.4")), /^EngineError: Address already in use$/);
  assert.throws(() => pool.leaseExactly(address("10.0.0.1")), /requested address is out of range/);
});

test("lease: network and broadcast addresses are never given, except on a point-to-point link", () => {
  const all = (text: string) => {
    const pool = new Pool(prefix(text));
    const found: string[] = [];
    try {
      for (;;) found.push(formatAddress(pool.lease()));
    } catch {
      return found;
    }
  };
  assert.deepEqual(all("10.0.0.0/30"), ["10.0.0.1", "10.0.0.2"]);
  assert.deepEqual(all("10.0.0.0/31"), ["10.0.0.0", "10.0.0.1"]);
  assert.deepEqual(all("fd00::/126"), ["fd00::1", "fd00::2", "fd00::3"]);
});

test("lease: an ip-range bounds what is given, not what may be asked for", () => {
  const pool = new Pool(prefix("10.0.0.0/24"), prefix("10.0.0.128/31"));
  assert.equal(formatAddress(pool.lease()), "10.0.0.128");
  pool.leaseExactly(address("10.0.0.5"));
  assert.equal(formatAddress(pool.lease()), "10.0.0.129");
  assert.throws(() => pool.lease(), /no available addresses on this pool/);
});
