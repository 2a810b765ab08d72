import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cidr, chooseBridgeAddress } from "../../src/engine/network/driver/bridge-address.ts";
import { formatAddress, formatPrefix, parseCidr } from "../../src/network/address.ts";

const cidr = (text: string): Cidr => parseCidr(text) ?? assert.fail(text);

/** As dockerd 28.5 chooses. */
const choices: readonly (readonly [string, readonly string[], string, boolean, string])[] = [
  ["nothing on it", [], "10.1.0.0/24", true, "none"],
  ["no range: the first", ["10.1.0.1/24", "10.2.0.1/24"], "", true, "10.1.0.1 10.1.0.0/24"],
  ["the one whose subnet holds the range", ["10.1.0.1/20", "10.2.0.1/20"], "10.2.1.0/24", true, "10.2.0.1 10.2.0.0/20"],
  ["the one within the range", ["10.1.0.1/24", "10.2.1.1/24"], "10.2.0.0/20", true, "10.2.1.1 10.2.1.0/24"],
  ["none fits, and an administrator's stays", ["10.1.0.1/24"], "10.3.0.0/24", true, "10.1.0.1 10.1.0.0/24"],
  ["none fits, and docker0's goes", ["10.1.0.1/24"], "10.3.0.0/24", false, "none"],
  ["docker0's subnet grows with the range", ["10.1.0.1/24"], "10.1.0.0/20", false, "10.1.0.1 10.1.0.0/20"],
  ["the kernel's own is no choice", ["fe80::5/64", "fd00::1/64"], "", true, "fd00::1 fd00::/64"],
  ["unless the range is there", ["fe80::5/64", "fd00::1/64"], "fe80::/64", true, "fe80::5 fe80::/64"],
];

for (const [name, present, range, isUserManaged, expected] of choices) {
  test(`default bridge: its address is chosen: ${name}`, () => {
    const chosen = chooseBridgeAddress({
      present: present.map(cidr),
      range: range === "" ? undefined : cidr(range),
      isUserManaged,
    });
    const shown = chosen === undefined ? "none" : `${formatAddress(chosen.address)} ${formatPrefix(chosen.prefix)}`;
    assert.equal(shown, expected);
  });
}
