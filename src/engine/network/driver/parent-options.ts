import { EngineError } from "#base/errors";
import type { ChildLink } from "#network";
import { invalid } from "../errors.ts";

/** What `-o` says to the macvlan and ipvlan drivers (moby libnetwork/drivers/{macvlan,ipvlan}). */
export type ParentOptions = ChildLink;

type Options = Readonly<Record<string, string>>;

const macvlanModes = { "": 4, private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
const ipvlanModes = { "": 0, l2: 0, l3: 1, l3s: 2 } as const;
const ipvlanFlags = { "": 0, bridge: 0, private: 1, vepa: 2 } as const;

export const isParentDriver = (driver: string): driver is "macvlan" | "ipvlan" =>
  driver === "macvlan" || driver === "ipvlan";

/** `id`: of the network, which names the link that stands in for a parent that nobody gave. */
export function parseParentOptions(driver: "macvlan" | "ipvlan", options: Options, id: string): ParentOptions {
  const parent = options.parent ?? "";
  const mode = options[`${driver}_mode`] ?? "";
  const link =
    driver === "macvlan"
      ? {
          kind: driver,
          mode: numberOf(
            macvlanModes,
            mode,
            `requested macvlan mode '${mode}' is not valid, 'bridge' mode is the macvlan driver default`,
          ),
        }
      : {
          kind: driver,
          mode: numberOf(
            ipvlanModes,
            mode,
            `requested ipvlan mode '${mode}' is not valid, 'l2' mode is the ipvlan driver default`,
          ),
          flag: numberOf(
            ipvlanFlags,
            options.ipvlan_flag ?? "",
            `requested ipvlan flag '${options.ipvlan_flag}' is not valid, 'bridge' is the ipvlan driver default`,
          ),
        };
  if (parent === "lo") throw new EngineError("system", `loopback interface is not a valid ${driver} parent link`);
  return { ...link, parent: parent === "" ? `${driver === "macvlan" ? "dm" : "di"}-${id.slice(0, 12)}` : parent };
}

function numberOf(values: Readonly<Record<string, number>>, name: string, refusal: string): number {
  const value = values[name];
  if (value === undefined) throw new EngineError("system", refusal);
  return value;
}

/** One network has a parent in passthru mode for itself. */
export function checkSharing(
  wish: ParentOptions,
  others: readonly { readonly id: string; readonly link: ParentOptions }[],
): void {
  const isAlone = ({ kind, mode }: ParentOptions) => kind === "macvlan" && mode === macvlanModes.passthru;
  const rival = others.find(({ link }) => link.kind === wish.kind && link.parent === wish.parent);
  if (rival === undefined) return;
  const { parent } = wish;
  if (isAlone(wish)) {
    throw new EngineError(
      "system",
      `cannot use mode passthru, macvlan network ${rival.id} is already using parent interface ${parent}`,
    );
  }
  if (isAlone(rival.link)) {
    throw new EngineError(
      "system",
      `macvlan network ${rival.id} is already using parent interface ${parent} in mode passthru`,
    );
  }
}

/** `eth0.10`: the parent's parent and a VLAN's number. */
export function parseVlan(name: string): { readonly parent: string; readonly id: number } {
  const [parent = "", text = "", ...rest] = name.split(".");
  if (parent === "" || text === "" || rest.length > 0) {
    throw new EngineError("system", `invalid subinterface vlan name ${name}, example formatting is eth0.10`);
  }
  if (!/^\d+$/.test(text)) throw invalid(`unable to parse a valid vlan id from: ${text} (ex. eth0.10 for vlan 10)`);
  const id = Number(text);
  if (id > 4094 || id < 1) throw new EngineError("system", `vlan id must be between 1-4094, received: ${id}`);
  return { parent, id };
}
