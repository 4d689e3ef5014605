/** `weft verify`: checks a store's folder, in words or as one JSON object, and repairs it when that is asked for. */
import { readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { AuditReport } from '@weft-db/engine'
import { auditFolder } from './audit.ts'
import { mustBeFolder } from './directory.ts'
import { isAddress } from './fetch.ts'
import { trusted } from './keys.ts'
import { type Output, parseFlags, Usage } from './output.ts'
import { type Repair, repairFolder } from './repair.ts'
import type { App } from './replay.ts'
import { inJson, inLines, inWords } from './words.ts'

export const verifyHelp = `weft verify DIR [options]

Verifies everything a server, or an app on Node, has stored in DIR, or what weft backup wrote there: every byte of every log, the
root log from the authority's key up, every certificate, commit and entry with its signature and its place, what the entries name,
kept evidence, and whether snapshots say what their logs say. Without --repair it reads only, and may run while the server does.

  --key FILE|HEX     the key the authority began with: a PEM file, 65 bytes of a public key, or its SHA-256
  --network ID       the network's id, as the server and the app name it
  --since FILE       an earlier report (--json): what it saw must be there still. Only this finds a log that was
                     removed, or cut off between two frames
  --rules MODULE     counts every commit again by the app's own 'rules' and 'schemas', which MODULE exports, and
                     lists what they refuse; merges anew the values that snapshots have
  --repair           writes damaged logs whole, while nobody has DIR open. The logs as they were are kept beside it.
                     Removes snapshots that do not say what their logs say
  --from PLACE       where --repair looks for what is missing: a backup, the folder of another store of the network, or
                     the address of the server (https://…), which is asked as the session whose store DIR is; may be
                     given more than once
  --json             the report as one JSON object

Without --key and --network the folder is checked against itself: compare the network that is printed with the one you know.

Exit code: 0 clean, 1 problems, 2 the command could not be carried out as it was written.
`

export const verifyCommand = async (args: readonly string[], output: Output): Promise<number> => {
  const { values, positionals } = parseFlags(args, {
    key: { type: 'string' },
    network: { type: 'string' },
    since: { type: 'string' },
    rules: { type: 'string' },
    repair: { type: 'boolean' },
    from: { type: 'string', multiple: true },
  })
  if (values.help === true) {
    output.out(verifyHelp)
    return 0
  }
  const [path, ...rest] = positionals
  if (path === undefined || rest.length > 0) throw new Usage('name one folder: weft verify DIR')
  await mustBeFolder(path)
  const from = values.from ?? []
  if (from.length > 0 && values.repair !== true) throw new Usage('--from goes with --repair')
  for (const place of from) if (!isAddress(place)) await mustBeFolder(place)
  const trust = await trusted(values)
  const since = values.since === undefined ? undefined : await readReport(values.since)
  const app = values.rules === undefined ? undefined : await loadApp(values.rules)
  const repair = values.repair === true ? await repairFolder(path, from, trust) : undefined
  const report = await auditFolder(path, {
    ...trust,
    ...(since !== undefined && { since }),
    ...(app !== undefined && { app }),
  })
  if (values.json === true) output.out(inJson({ ...report, ...(repair !== undefined && { repair: told(repair) }) }))
  else output.out(`${repairInWords(repair)}${inWords(path, report, app !== undefined)}`)
  return report.ok ? 0 : 1
}

const told = ({ before, repaired, removed, aside }: Repair): object => ({
  before,
  repaired,
  removed,
  aside: aside ?? null,
})

const repairInWords = (repair: Repair | undefined): string => {
  if (repair === undefined) return ''
  const { before, repaired, removed, aside } = repair
  if (before.length === 0) return inLines(['Nothing was to be repaired.', ''])
  const wrong = before.filter(({ code }) => code !== 'SnapshotWrong').length
  const done = [
    ...(repaired.length === 0 ? [] : [`Repaired ${repaired.length} of the logs, in which ${wrong} things were wrong.`]),
    ...(aside === undefined ? [] : [`As they were, they are in ${aside}.`]),
    ...removed.map((name) => `Removed ${name}: the log is read without it.`),
  ]
  return inLines([...(done.length === 0 ? ['Nothing could be repaired by what there is.'] : done), ''])
}

const readReport = async (file: string): Promise<AuditReport> => {
  const report: unknown = await readFile(file, 'utf8')
    .then((text) => JSON.parse(text))
    .catch(() => undefined)
  if (
    typeof report !== 'object' ||
    report === null ||
    !('files' in report && 'repositories' in report && 'network' in report)
  )
    throw new Usage(`--since ${file} is not a report that weft verify --json wrote`)
  // Made by this command: its shape is AuditReport.
  return report as AuditReport
}

const loadApp = async (name: string): Promise<App> => {
  const isFile = await stat(name).then(
    (found) => found.isFile(),
    () => false,
  )
  try {
    const path = isFile ? resolve(name) : createRequire(join(process.cwd(), 'package.json')).resolve(name)
    const { rules, schemas }: Partial<App> = await import(pathToFileURL(path).href)
    if (rules === undefined || !Array.isArray(schemas)) throw new Error('it does not export `rules` and `schemas`')
    return { rules, schemas }
  } catch (error) {
    throw new Usage(`--rules ${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
