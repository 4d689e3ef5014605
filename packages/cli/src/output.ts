/** What commands share: how they are called, where they write, and how they say that they were called wrongly. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { type Code, describeRefusal, type Problem, refusal } from '@weft-db/engine'

export interface Output {
  /** Takes text as it stands, newlines included. */
  out(text: string): void
  error(text: string): void
}

/** The command cannot be carried out as it was written: exit code 2. */
export class Usage extends Error {}

/** What was written behind the command's name; each takes `--json` and `--help`. Throws `Usage`. */
export const parseFlags = <const Own extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  flags: Own,
) => {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { ...flags, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    })
  } catch (error) {
    throw new Usage(error instanceof Error ? error.message : String(error))
  }
}

export const problemOf = (code: Code, file: string | null, offset: number | null, about: string): Problem => ({
  code,
  file,
  offset,
  about,
  message: describeRefusal(refusal(code, about)),
})
