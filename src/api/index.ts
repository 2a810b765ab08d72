/** The door of the API edge: `src/daemon` makes a server and gives it addresses. */
export type { ListenAddress, Listener } from "./listener.ts";
export { type ApiOptions, type ApiServer, createServer } from "./server.ts";
