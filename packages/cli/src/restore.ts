/**
 * `weft restore`: a backup becomes a store again. Everything is written and verified in a folder beside, which then takes the name: so that
 * whoever opens the store finds all of it or nothing.
 *
 * Nothing in it is signed anew and no chain is continued: a replica draws a new incarnation with its first commit after every opening, this one
 * too. What an authority signed after the backup was made it knows by its landmarks, which are in no backup.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type AuditReport, type Files, type Problem, StorageError, WeftError } from '@weft-db/engine'
import { isLocked, nodeFiles, syncDirectory } from '@weft-db/storage/node'
import { auditFolder } from './audit.ts'
import { absent, manifestIn, mustBeFolder, openToRead } from './directory.ts'
import { trusted } from './keys.ts'
import type { KeptFile } from './manifest.ts'
import { type Output, parseFlags, problemOf, Usage } from './output.ts'
import { inJson, inLines, problemsInWords } from './words.ts'
import { mustOpen, writeAll, writeWhole } from './writing.ts'

export const restoreHelp = `weft restore BACKUP DIR [options]

Makes a store of what weft backup wrote: DIR must not exist, or be empty. Everything is checked as weft verify does, before DIR is
there. Put the key back beside it (DIR.key) before the server starts, and let its landmarks (DIR.landmarks) be the newest there are.

  --key FILE|HEX     the key the authority began with, as weft verify takes it
  --network ID       the network's id
  --damaged          restores a damaged backup, or one of a damaged store, as far as it goes. weft verify --repair, or whoever
                     connects, then brings what is missing
  --json             the report as one JSON object

Exit code: 0 restored, 1 restored with problems (--damaged), or refused and nothing was written, 2 the command could not be
carried out as it was written.
`

/** The file that says when the backup was made. Whoever opens the store may remove it. */
export const markName = 'restored'

export interface Restored {
  /** When the backup was made, ms since 1970. */
  readonly time: number
  readonly isDone: boolean
  readonly problems: readonly Problem[]
  readonly report: AuditReport
}

export interface RestoreOptions {
  readonly network?: string
  /** Id of a key. */
  readonly key?: string
  readonly damaged?: boolean
}

const pieceBytes = 1_048_576

export const restoreCommand = async (args: readonly string[], output: Output): Promise<number> => {
  const { values, positionals } = parseFlags(args, {
    key: { type: 'string' },
    network: { type: 'string' },
    damaged: { type: 'boolean' },
  })
  if (values.help === true) {
    output.out(restoreHelp)
    return 0
  }
  const [from, directory, ...rest] = positionals
  if (from === undefined || directory === undefined || rest.length > 0)
    throw new Usage('name the backup and the folder to be: weft restore BACKUP DIR')
  const options = { ...(await trusted(values)), damaged: values.damaged === true }
  const { time, isDone, problems, report } = await restoreBackup(from, directory, options)
  const ok = problems.length === 0
  if (values.json === true)
    output.out(inJson({ ok, restored: isDone, network: report.network, time, notes: report.notes, problems }))
  else
    output.out(
      inLines([
        isDone ? `Restored ${directory} from ${from}` : `Nothing was restored from ${from}`,
        ...(report.network === null ? [] : [`Network ${report.network}`]),
        `The backup is of ${new Date(time).toISOString()}`,
        ...(isDone
          ? [
              `Put the key beside it, ${directory}.key, before anything opens it; a server needs its newest landmarks as well.`,
            ]
          : []),
        ...problemsInWords(problems),
        ...(isDone || ok ? [] : ['--damaged restores what is there.']),
      ]),
    )
  return ok ? 0 : 1
}

/** Rejects with a `WeftError`: `NoBackup`, `BackupCorrupt`, `NotEmpty`, `AlreadyOpen`, or what a disk said. */
export const restoreBackup = async (
  from: string,
  directory: string,
  { damaged = false, ...trust }: RestoreOptions = {},
): Promise<Restored> => {
  await mustBeFolder(from)
  const manifest = await manifestIn(from)
  if (manifest === undefined) throw new WeftError('NoBackup', from)
  await mustBeFree(directory)
  const stage = `${resolve(directory)}.restoring-${randomBytes(4).toString('hex')}`
  const files = nodeFiles(stage)
  try {
    const problems: Problem[] = []
    for (const kept of manifest.files) {
      const isWhole = await copyBack(from, kept, files)
      if (!isWhole) problems.push(problemOf('BackupCorrupt', kept.name, null, kept.stored))
    }
    await writeWhole(files, markName, Buffer.from(`${new Date(manifest.time).toISOString()}\n`))
    await files.syncNames()
    const report = await auditFolder(stage, trust)
    // A backup may be of the moment between an erasure and the end of it, as a crash may: whoever opens the store goes on from there.
    problems.push(...report.problems.filter(({ code }) => code !== 'ErasedContent'))
    const isDone = problems.length === 0 || damaged
    if (isDone) await takeName(stage, directory)
    else await rm(stage, { recursive: true, force: true })
    return { time: manifest.time, isDone, problems, report }
  } catch (error) {
    await rm(stage, { recursive: true, force: true })
    throw error
  }
}

const mustBeFree = async (directory: string): Promise<void> => {
  const names = await readdir(directory).catch(absent)
  if (names === undefined || names.length === 0) return
  throw (await isLocked(directory)) ? new StorageError('AlreadyOpen', directory) : new WeftError('NotEmpty', directory)
}

/** Copies what there is. False when that is not what was backed up. */
const copyBack = async (
  from: string,
  { name, stored, size, hash: expected }: KeptFile,
  files: Files,
): Promise<boolean> => {
  const source = await openToRead(join(from, stored))
  if (source === undefined) return false
  const hash = createHash('sha256')
  let at = 0
  try {
    const to = await mustOpen(files, name)
    try {
      while (at < size) {
        const piece = await source.read(at, Math.min(pieceBytes, size - at))
        if (piece.length === 0) break
        hash.update(piece)
        await writeAll(to, at, piece)
        at += piece.length
      }
      await to.sync()
    } finally {
      await to.close()
    }
  } finally {
    await source.close()
  }
  return at === size && hash.digest('hex') === expected
}

/** An empty folder of that name goes; one in which somebody stored something meanwhile does not. */
const takeName = async (stage: string, directory: string): Promise<void> => {
  const target = resolve(directory)
  try {
    await mkdir(dirname(target), { recursive: true })
    await rmdir(target).catch(absent)
    await rename(stage, target)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOTEMPTY' || code === 'EEXIST') throw new WeftError('NotEmpty', directory)
    throw error
  }
  await syncDirectory(dirname(target))
}
