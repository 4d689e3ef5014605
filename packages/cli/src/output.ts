/** What commands share: where they write, and how they say that they were called wrongly. */
export interface Output {
  /** Takes text as it stands, newlines included. */
  out(text: string): void
  error(text: string): void
}

/** The command cannot be carried out as it was written: exit code 2. */
export class Usage extends Error {}
