/** The `weft` command: finds the command that is named and runs it. */
import { auditCommand } from './audit.ts'
import { evidenceCommand } from './evidence.ts'
import { type Output, Usage } from './output.ts'
import { printable } from './words.ts'

export const help = `weft COMMAND

  audit DIR        verifies everything a server, or an app on Node, has stored
  evidence FILE    checks what a replica kept as the proof of a fork

weft COMMAND --help tells more about one of them.
`

const commands = new Map([
  ['audit', auditCommand],
  ['evidence', evidenceCommand],
])

/** Runs a command and gives its exit code: 0 fine, 1 problems were found, 2 it was called wrongly. */
export const run = async (args: readonly string[], output: Output): Promise<number> => {
  const [name, ...rest] = args
  if (name === '--help' || name === '-h' || name === 'help') {
    output.out(help)
    return 0
  }
  const command = name === undefined ? undefined : commands.get(name)
  if (command === undefined) {
    output.error(name === undefined ? help : `There is no command ${printable(name)}.\n\n${help}`)
    return 2
  }
  try {
    return await command(rest, output)
  } catch (error) {
    if (!(error instanceof Usage || isSystemError(error))) throw error
    output.error(`weft ${name}: ${printable(error.message)}\nweft ${name} --help tells how it is used.\n`)
    return 2
  }
}

/** A folder that this user may not read, a file that went meanwhile. */
const isSystemError = (error: unknown): error is Error => error instanceof Error && 'syscall' in error
