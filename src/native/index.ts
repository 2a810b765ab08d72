/** The door of `src/native`: one typed function per system call. Nothing else loads koffi. */
export { type PathBytes, SystemError } from "./call.ts";
export { asOwner } from "./credentials.ts";
export * from "./files.ts";
export * from "./mounts.ts";
export * from "./namespaces.ts";
export * from "./pipes.ts";
export * from "./process.ts";
export * from "./sockets.ts";
export * from "./stat.ts";
export * from "./xattr.ts";
