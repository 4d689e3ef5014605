/** What a child process runs: one role, which answers what it is asked, one thing after the other, until the parent is gone. */

import { cloneRoles } from './cloner.ts'
import { localRoles } from './local-engines.ts'
import { cpuTime } from './measure.ts'
import { cycleRoles } from './mesh-cycles.ts'
import { endRoles } from './mesh-end.ts'
import { memberRoles } from './mesh-member.ts'
import type { Methods } from './methods.ts'
import { serverRoles } from './servers.ts'
import { storageRoles } from './storage-engines.ts'
import { textRoles } from './text-engines.ts'

const [role = ''] = process.argv.slice(2)
const make = {
  ...cloneRoles,
  ...localRoles,
  ...textRoles,
  ...serverRoles,
  ...memberRoles,
  ...endRoles,
  ...cycleRoles,
  ...storageRoles,
}[role]
if (make === undefined) throw new Error(`no role is called ${role}`)
/** Undefined when the package behind the role is not here. */
const made: Promise<Methods | undefined> = make()

const answer = async (method: string, args: unknown[]): Promise<unknown> => {
  const methods = await made
  if (method === 'isReady') return methods !== undefined
  if (method === 'cpuTime') return cpuTime()
  const run = methods?.[method]
  if (run === undefined) throw new Error(`no answer to ${method}`)
  return run(...(args as never[]))
}

let queue = Promise.resolve()
process.on('message', ({ id, method, args }: { id: number; method: string; args: unknown[] }) => {
  queue = queue.then(() =>
    answer(method, args).then(
      (value) => void process.send?.({ id, value }),
      (error: unknown) => void process.send?.({ id, error: String(error instanceof Error ? error.stack : error) }),
    ),
  )
})
process.once('disconnect', () => process.exit())
