import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

const answer = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/** Tells a client that speaks plain HTTP to a port with TLS so, as Go's server does. */
export function answerPlainHttp(server: Server): void {
  // A TLSSocket does not name the connection that it lies on, and without a handshake it can say nothing itself.
  const connections = new Map<number | undefined, Socket>();
  server.prependListener("connection", (connection: Socket) => {
    const { remotePort } = connection;
    connections.set(remotePort, connection);
    connection.once("close", () => connections.delete(remotePort));
  });
  server.on("tlsClientError", (error: NodeJS.ErrnoException, { remotePort }: TLSSocket) => {
    const connection = connections.get(remotePort);
    if (error.code === "ERR_SSL_HTTP_REQUEST") connection?.on("error", () => connection.destroy()).end(answer);
  });
}
