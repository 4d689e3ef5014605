/**
 * Counts everything once more by the app's own rules and schemas, in memory: an ordinary replica is opened on copies of the logs, without a
 * server, and asked what counts. So the verdicts are those that every replica reaches.
 */
import {
  type AuditReport,
  Database,
  type DatabaseOptions,
  type DeadCommit,
  type Files,
  type Incident,
  type Schema,
} from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { memoryFiles } from '@weft-db/storage/memory'
import type { Folder } from './directory.ts'

export interface App {
  readonly schemas: readonly Schema[]
  readonly rules: NonNullable<DatabaseOptions['rules']>
}

const copyLogs = async (folder: Folder): Promise<Files> => {
  const files = memoryFiles()
  for (const { name, size } of await folder.list()) {
    if (!name.endsWith('.log')) continue
    const file = await files.open(name, true)
    await file?.write(0, await folder.read(name, size))
    await file?.close()
  }
  return files
}

/** The report with what the rules say of every commit, and what the replica found odd. */
export const judge = async (folder: Folder, report: AuditReport, app: App): Promise<AuditReport> => {
  const files = await copyLogs(folder)
  const incidents: Incident[] = []
  const database = new Database({
    ...app,
    runtime: nodeRuntime(),
    storage: async () => ({ files, keys: memoryKeys(), mode: 'memory', lasting: true }),
  })
  database.onIncident((incident) => incidents.push(incident))
  try {
    await database.opened
    const repositories: AuditReport['repositories'][number][] = []
    for (const known of report.repositories) repositories.push(await judgeRepository(database, known))
    const notes = incidents
      .filter(({ code }) => code === 'RuleThrew' || code === 'RuleNotPure')
      .map(({ message }) => message)
    const dead = new Map<string | null, Set<string>>()
    for (const { owner, commit } of repositories.flatMap((one) => one.dead))
      dead.set(owner, (dead.get(owner) ?? new Set()).add(commit))
    const people = report.people.map((person) => ({ ...person, dead: dead.get(person.owner)?.size ?? 0 }))
    return { ...report, repositories, people, notes: [...report.notes, ...new Set(notes)] }
  } finally {
    await database.close()
  }
}

type Audited = AuditReport['repositories'][number]

const judgeRepository = async (database: Database, known: Audited): Promise<Audited> => {
  const repository = database.repository(known.path)
  await repository.ready
  const { counting, pipeline } = repository
  const dead: DeadCommit[] = [...known.dead]
  const waiting: DeadCommit[] = []
  const named = new Set(known.dead.map(({ commit, key }) => (key === null ? commit : `${commit} ${key}`)))
  for (let index = 0; index < pipeline.commits.size; index++) {
    const commit = pipeline.commits.at(index)
    if (commit === undefined) continue
    const owner = database.certificates.get(commit.session)?.owner ?? null
    const waits = counting.waiting.get(commit.id)?.why
    for (const { key, why } of repository.whyDenied(commit.id)) {
      const one = { commit: commit.id, owner, key, code: why.code, reason: why.reason ?? why.about }
      if (why === waits) waiting.push(one)
      else if (!named.has(commit.id) && !named.has(`${commit.id} ${key}`)) dead.push(one)
    }
  }
  return { ...known, dead, waiting }
}
