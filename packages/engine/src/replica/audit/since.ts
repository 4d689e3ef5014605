/**
 * What an earlier report saw has to be there still. Logs only grow, so each begins with the bytes it had then; only an erasure writes a log
 * anew, and then the entries and the number of commits are compared.
 */
import type { AuthorityLog } from '../../trust/authoritylog.ts'
import type { Runtime } from '../ports.ts'
import type { AuditedRepository, AuditReport } from './report.ts'
import { contentHash } from './repository.ts'

/** What a report says, of then or of now. */
type Seen = Pick<AuditReport, 'network' | 'files' | 'repositories'>

interface Lost {
  readonly file: string | null
  readonly about: string
}

export interface Present {
  readonly report: Seen
  /** The authority logs of the repositories, by file. */
  readonly logs: ReadonlyMap<string, AuthorityLog>
  read(name: string, size: number): Promise<Uint8Array>
}

export const comparePast = async (
  then: Seen,
  { report: now, logs, read }: Present,
  runtime: Runtime,
): Promise<Lost[]> => {
  const lost: Lost[] = []
  if (then.network !== null && then.network !== now.network)
    lost.push({ file: null, about: `the network ${then.network}` })
  for (const before of then.files) {
    if (before.kind !== 'log' && before.kind !== 'evidence') continue
    if (!now.files.some(({ name }) => name === before.name)) {
      lost.push({ file: before.name, about: `the file${before.path === null ? '' : ` of ${before.path}`}` })
      continue
    }
    if (contentHash(await read(before.name, before.size), runtime) === before.hash) continue
    const [old, present] = [then, now].map(({ repositories }) => repositories.find(({ file }) => file === before.name))
    const about = old && present && rewritten(old, present, logs.get(before.name))
    if (about !== 'nothing') lost.push({ file: before.name, about: about ?? `the first ${before.size} bytes of then` })
  }
  return lost
}

/** What is lost of a log that an erasure wrote anew, as far as it can be told; undefined when none did. */
const rewritten = (
  old: AuditedRepository,
  present: AuditedRepository,
  log: AuthorityLog | undefined,
): string | undefined => {
  if (!log?.entries.slice(old.entries).some(({ statement }) => statement.kind === 'erasure')) return undefined
  if (!log.knows(old.position)) return `entry ${old.position?.n} of ${old.path}`
  return present.commits < old.commits ? `${old.commits - present.commits} commits of ${old.path}` : 'nothing'
}
