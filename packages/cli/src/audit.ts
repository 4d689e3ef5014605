/** `weft audit`: verifies a store's folder, in words or as one JSON object. */
import { readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { type AuditReport, audit } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { openFolder } from './directory.ts'
import { keyBeside, namedKey } from './keys.ts'
import { type Output, Usage } from './output.ts'
import { type App, judge } from './replay.ts'
import { inWords } from './words.ts'

export const auditHelp = `weft audit DIR [options]

Verifies everything a server, or an app on Node, has stored in DIR: every byte of every log, the root log from the authority's
key up, every certificate, commit and entry with its signature and its place, what the entries name, and kept evidence. It
reads only, and may run while the server does.

  --key FILE|HEX     the key the authority began with: a PEM file, 65 bytes of a public key, or its SHA-256
  --network ID       the network's id, as the server and the app name it
  --since FILE       an earlier report (--json): what it saw must be there still. Only this finds a log that was
                     removed, or cut off between two frames
  --rules MODULE     counts every commit again by the app's own 'rules' and 'schemas', which MODULE exports, and
                     lists what they refuse
  --json             the report as one JSON object

Without --key and --network the folder is checked against itself: compare the network that is printed with the one you know.

Exit code: 0 clean, 1 problems, 2 the command could not be carried out as it was written.
`

interface Options {
  readonly network?: string
  /** Id of a key. */
  readonly key?: string
  readonly since?: AuditReport
  readonly app?: App
}

/** Audits a folder. Rejects when it cannot be read. */
export const auditFolder = async (path: string, options: Options = {}): Promise<AuditReport> => {
  const folder = await openFolder(path)
  const { app, ...rest } = options
  const report = await audit(folder, { runtime: nodeRuntime(), ...rest })
  const notes = [...report.notes]
  if (folder.inUse) notes.push('A program has the folder open; this is how it was at one moment.')
  const key = await keyBeside(resolve(path), report)
  if (key !== undefined) notes.push(key)
  const told = { ...report, notes }
  return app === undefined || report.network === null ? told : judge(folder, told, app)
}

export const auditCommand = async (args: readonly string[], output: Output): Promise<number> => {
  const { values, positionals } = parse(args)
  if (values.help === true) {
    output.out(auditHelp)
    return 0
  }
  const [path, ...rest] = positionals
  if (path === undefined || rest.length > 0) throw new Usage('name one folder: weft audit DIR')
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isFolder) throw new Usage(`${path} is not a folder`)
  const key = values.key === undefined ? undefined : await namedKey(values.key)
  if (values.key !== undefined && key === undefined) throw new Usage(`--key ${values.key} is no P-256 key`)
  const network = values.network?.toLowerCase()
  if (network !== undefined && !/^[0-9a-f]{64}$/.test(network)) throw new Usage('--network takes 64 hex digits')
  const since = values.since === undefined ? undefined : await readReport(values.since)
  const app = values.rules === undefined ? undefined : await loadApp(values.rules)
  const report = await auditFolder(path, {
    ...(key !== undefined && { key }),
    ...(network !== undefined && { network }),
    ...(since !== undefined && { since }),
    ...(app !== undefined && { app }),
  })
  output.out(
    values.json === true
      ? `${JSON.stringify(report, undefined, 2)}\n`
      : `${inWords(path, report, app !== undefined)}\n`,
  )
  return report.ok ? 0 : 1
}

const parse = (args: readonly string[]) => {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        key: { type: 'string' },
        network: { type: 'string' },
        since: { type: 'string' },
        rules: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new Usage(error instanceof Error ? error.message : String(error))
  }
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
    throw new Usage(`--since ${file} is not a report that weft audit --json wrote`)
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
