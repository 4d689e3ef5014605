/** The engine's audit of a folder or a backup, with what only this machine can tell: who has it open, and what the key beside it is. */
import { hash } from 'node:crypto'
import { resolve } from 'node:path'
import { type AuditReport, type AuditSource, audit, type Problem, type Schema } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { openFolder } from './directory.ts'
import { keyBeside } from './keys.ts'
import type { Manifest } from './manifest.ts'
import { problemOf } from './output.ts'
import { type App, judge } from './replay.ts'

interface Options {
  readonly network?: string
  /** Id of a key. */
  readonly key?: string
  readonly since?: AuditReport
  /** By which values in snapshots are merged anew. */
  readonly schemas?: readonly Schema[]
}

/** Audits a folder, or what a backup holds. Rejects when it cannot be read. */
export const auditFolder = async (
  path: string,
  { app, ...options }: Options & { readonly app?: App } = {},
): Promise<AuditReport> => {
  const folder = await openFolder(path)
  const report = await auditSource(folder, path, { ...options, ...(app !== undefined && { schemas: app.schemas }) })
  const { manifest } = folder
  const notes = [...report.notes]
  if (folder.inUse) notes.push('A program has the folder open; this is how it was at one moment.')
  if (manifest !== undefined) notes.push(`This is a backup of ${new Date(manifest.time).toISOString()}.`)
  const rotten = manifest === undefined ? [] : await differing(folder, manifest)
  const problems = [...report.problems, ...rotten]
  const told = { ...report, ok: problems.length === 0, problems, notes }
  return app === undefined || report.network === null ? told : judge(folder, told, app)
}

/** The same for files that are read in any other way; the folder is where the key is beside. */
export const auditSource = async (source: AuditSource, path: string, options: Options): Promise<AuditReport> => {
  const report = await audit(source, { runtime: nodeRuntime(), ...options })
  const key = await keyBeside(resolve(path), report)
  return key === undefined ? report : { ...report, notes: [...report.notes, key] }
}

/** Files that are not what the backup wrote. */
const differing = async (source: AuditSource, { files }: Manifest): Promise<Problem[]> => {
  const problems: Problem[] = []
  for (const { name, stored, size, hash: expected } of files)
    if (hash('sha256', await source.read(name, size), 'hex') !== expected)
      problems.push(problemOf('BackupCorrupt', name, null, stored))
  return problems
}
