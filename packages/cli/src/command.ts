/** The `weft` command: finds the command that is named and runs it. */
import { WeftError } from '@weft-db/engine'
import { backupCommand } from './backup.ts'
import { evidenceCommand } from './evidence.ts'
import { type Output, Usage } from './output.ts'
import { restoreCommand } from './restore.ts'
import { verifyCommand } from './verify.ts'
import { inJson, printable } from './words.ts'

export const help = `weft COMMAND

  verify DIR          checks every byte that a server, or an app on Node, has stored; --repair mends it
  backup DIR TARGET   copies a store while it is in use
  restore BACKUP DIR  makes a store of a backup
  evidence FILE       checks what a replica kept as the proof of a fork

weft COMMAND --help tells more about one of them.
`

const commands = new Map([
  ['verify', verifyCommand],
  // What it was called before it could repair.
  ['audit', verifyCommand],
  ['backup', backupCommand],
  ['restore', restoreCommand],
  ['evidence', evidenceCommand],
])

/** Runs a command and gives its exit code: 0 fine, 1 problems were found or it was refused, 2 it was called wrongly. */
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
    if (error instanceof WeftError) {
      const { code, about, message } = error
      if (rest.includes('--json')) output.out(inJson({ ok: false, code, about, message }))
      else output.error(`weft ${name}: ${printable(message)} [${code}]\n`)
      return 1
    }
    if (!(error instanceof Usage || isSystemError(error))) throw error
    output.error(`weft ${name}: ${printable(error.message)}\nweft ${name} --help tells how it is used.\n`)
    return 2
  }
}

/** A folder that this user may not read, a file that went meanwhile. */
const isSystemError = (error: unknown): error is Error => error instanceof Error && 'syscall' in error
