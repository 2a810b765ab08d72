import type { Owner } from "#base/id-mappings";

/** `shim.json`: what one shim needs to know (docs/shim-protocol.md). The shim reads it once, when it starts. */
export interface ShimConfig {
  readonly id: string;
  /** The OCI runtime; `args` go before its command. */
  readonly runtime: { readonly path: string; readonly args: readonly string[] };
  /** Mounted on `<bundle>/rootfs` in the shim's own mount namespace. `options` are mount(8)'s, `ro` and the like included. */
  readonly rootfs: {
    readonly type: "overlay" | "bind";
    readonly source?: string;
    readonly options: string;
    /** Whose files the overlay's own are: through an id-mapped mount nobody but the mapped can make any. */
    readonly owner?: Owner;
  };
  readonly terminal: boolean;
  /** Height, width. */
  readonly consoleSize?: readonly [number, number];
  /** `once`: closed when the first attached client's stdin ends. */
  readonly stdin: "none" | "open" | "once";
  readonly log: LogConfig;
  /** Of the shim itself. */
  readonly oomScoreAdj?: number;
}

export interface LogConfig {
  readonly driver: "json-file" | "local" | "none";
  readonly path?: string;
  /** 0: never rotated. */
  readonly maxSizeBytes?: number;
  readonly maxFiles?: number;
  readonly compress?: boolean;
  readonly mode?: "blocking" | "non-blocking";
  readonly maxBufferBytes?: number;
  /** json-file's `attrs`: labels, environment and tag that the log options asked for. */
  readonly attrs?: Readonly<Record<string, string>>;
}
