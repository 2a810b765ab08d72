/** procps said no; the message is the first line it would have printed. */
export class PsError extends Error {}
