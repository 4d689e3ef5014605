/** Rows D10 and F1: names by the million that nobody writes to, and names that would be paths. */
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { logName } from '@weft-db/engine'
import { nodeFiles } from '@weft-db/storage/node'
import { isWellFormed } from '../../../packages/engine/src/bytes/bytes.ts'
import { fingerprintBytes } from '../../../packages/engine/src/sync/fingerprint.ts'
import { isRepositoryPath } from '../../../packages/engine/src/trust/rules.ts'
import { runtime, Stranger, subscribing } from '../../road/stranger.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { occupied } from '../occupied.ts'
import { mustHold, type Row } from '../row.ts'
import { cardName } from '../target.ts'
import { serving } from './sockets.ts'

const megabyte = 1_048_576
const unhurried = { burst: 1e9, perSecond: 1e9 }
/** The rates would make it last for hours: what is looked at is what is left of a name, however fast it came. */
const rates = {
  framesPerUser: unhurried,
  connectionsPerAddress: unhurried,
  loginsPerAddress: unhurried,
  sessionsPerAddress: unhurried,
  offencesPerAddress: unhurried,
  repositoriesPerUser: unhurried,
}
const namesPerChannel = 1_000

/**
 * D10: `trials` names are asked for by somebody who may read all of them, and given up again, without a write. A violation is each file
 * that is there afterwards and was not before, each repository still open, and memory that grows with the names.
 */
export const names: Row = ({ trials, seed }) =>
  serving({ rates }, async (server, folder) => {
    const draws = stream(seed, 'names')
    const store = join(folder, 'store')
    let [asked, answered, violations] = [0, 0, 0]
    const ask = async (count: number): Promise<void> => {
      const stranger = await Stranger.member(`http://127.0.0.1:${server.port}`, '/board/asked')
      const paths = Array.from({ length: count }, () => `/board/${draws.int(2 ** 32)}-${draws.int(2 ** 32)}`)
      for (const [at, path] of paths.entries()) stranger.send(subscribing(at + 1, path))
      const last = paths.at(-1)
      await stranger.hears('subscribe', ({ path }) => path === last)
      answered += stranger.heard.filter(({ kind }) => kind === 'subscribe').length - 1
      // Half of them are given up by name, the others with the channel.
      for (let tag = 1; tag <= count / 2; tag++) stranger.send({ kind: 'unsubscribe', tag })
      stranger.close()
      await stranger.closed
      asked += count
    }
    await ask(Math.min(namesPerChannel, trials))
    const files = new Set(await readdir(store))
    const before = await occupied()
    while (asked < trials) await ask(Math.min(namesPerChannel, trials - asked))
    // What was closed last has been seen by the server when the next channel is answered.
    const last = await Stranger.member(`http://127.0.0.1:${server.port}`, '/board/asked')
    const grown = (await occupied()) - before
    const open = [...server.database.repositories].length
    for (const file of await readdir(store)) if (!files.has(file)) violations++
    violations += [...files].filter((file) => file.endsWith('.log')).length - 1
    if (open > 1) violations += open - 1
    if (grown > 50 * megabyte) violations++
    mustHold(answered === asked, `only ${answered} of ${asked} names were answered`, violations)
    last.close()
    return { trials: asked, violations, open, grownMegabytes: Math.max(0, Math.round(grown / megabyte)) }
  })

const hostile = (draws: Stream, trial: number): string => {
  const pieces = [
    '..',
    '.',
    '%2e%2e',
    '%00',
    '\0',
    'CON',
    'nul',
    'COM1',
    '~',
    '\\',
    '//',
    'a:b',
    'C:',
    '*',
    '|',
    ' ',
    '\n',
    '\u202e',
    'e\u0301',
    'é',
    'ı',
    'İ',
    'ſ',
    'K',
    '$(id)',
    '`id`',
    "'",
    '"',
    '-rf',
    '.ssh',
    'store.key',
    'x'.repeat(4_096),
    '😀',
    '\ud800',
  ]
  const piece = (): string => pieces[draws.int(pieces.length)] ?? '..'
  const ways: (() => string)[] = [
    () => `/${piece()}/${piece()}`,
    () => `/board/${piece()}`,
    () => `/board/${'../'.repeat(1 + draws.int(12))}etc/passwd`,
    () => `${piece()}${piece()}${piece()}`,
    () => `/board/${['Roadmap', 'roadmap', 'ROADMAP', 'rOADMAP'][draws.int(4)]}${trial}`,
    () => `/board/${trial}.${piece()}`,
    () => `/${piece()}${trial}/${trial}`,
    () => `/board/${trial}`,
  ]
  return ways[draws.int(ways.length)]?.() ?? '/..'
}

const fileName = /^[0-9a-f]{64}\.log$/
/** What the engine calls its own files. */
const flatName = /^=?[0-9a-z._-]{1,80}$/

/** Everything below a folder, with what it leads to. */
const below = async (folder: string): Promise<Map<string, string>> => {
  const found = new Map<string, string>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    found.set(path, entry.isFile() ? (await readFile(path)).toString('base64') : '')
  }
  return found
}

/**
 * F1: `trials` names, each as a log's file and every twentieth as a repository that somebody writes to on a real server. A violation is a
 * file elsewhere than in the data folder, two names of one file on a file system that knows no case, a file that another may read, and a
 * byte written through a symbolic link.
 */
export const paths: Row = async ({ trials, seed }) => {
  const draws = stream(seed, 'paths')
  const seen = new Map<string, string>()
  const asked: string[] = []
  let [violations, refused, stored] = [0, 0, 0]
  for (let trial = 0; trial < trials; trial++) {
    const path = hostile(draws, trial)
    // A lone half of a character has no bytes to hash, on no wire either.
    if (!isWellFormed(path)) {
      if (isRepositoryPath(path)) violations++
      continue
    }
    const name = logName(path, runtime)
    if (!fileName.test(name)) violations++
    const twin = seen.get(name.toLowerCase())
    if (twin !== undefined && twin !== path) violations++
    seen.set(name.toLowerCase(), path)
    if (!isRepositoryPath(path)) refused++
    if (trial % 20 === 0) asked.push(path)
  }
  const outer = await mkdtemp(join(tmpdir(), 'weft-paths-'))
  try {
    await writeFile(join(outer, 'outside'), 'untouched')
    await serving({ rates }, async (server, folder) => {
      const store = join(folder, 'store')
      // Somebody who may write there has laid links where logs will be.
      const linked = ['/board/linked', '/board/linked-folder']
      await mkdir(join(outer, 'folder'))
      await symlink(join(outer, 'outside'), join(store, logName('/board/linked', runtime)))
      await symlink(join(outer, 'folder'), join(store, logName('/board/linked-folder', runtime)))
      const before = await below(outer)
      const around = new Set(await readdir(folder))
      const url = `http://127.0.0.1:${server.port}`
      const all = [...new Set([...asked, ...linked])]
      for (let from = 0; from < all.length; from += 500) {
        const stranger = await Stranger.member(url, '/board/asked')
        const some = all.slice(from, from + 500)
        for (const [at, path] of some.entries()) {
          if (path.length > 250) continue
          stranger.send(subscribing(at + 1, path))
          if (!isRepositoryPath(path)) continue
          const commit = await stranger.commit(path, cardName)
          stranger.send({
            kind: 'sync',
            tag: at + 1,
            message: [0, new Uint8Array(fingerprintBytes), true, null],
          })
          stranger.send({
            kind: 'sync',
            tag: at + 1,
            message: [
              5,
              0,
              false,
              [],
              [commit.bytes],
              stranger.certificate === undefined ? [] : [stranger.certificate],
            ],
          })
        }
        stranger.send(subscribing(1_000, '/board/last'))
        await stranger.hears('subscribe', ({ path }) => path === '/board/last')
        stranger.close()
        await stranger.closed
      }
      await server.close()
      for (const name of await readdir(store)) {
        const one = await lstat(join(store, name))
        if (one.isSymbolicLink()) continue
        if (!flatName.test(name)) violations++
        if (process.platform !== 'win32' && one.isFile() && (one.mode & 0o077) !== 0) violations++
        if (fileName.test(name)) stored++
      }
      if (process.platform !== 'win32' && ((await stat(store)).mode & 0o077) !== 0) violations++
      for (const name of await readdir(folder)) if (!around.has(name)) violations++
      const after = await below(outer)
      if (JSON.stringify([...before]) !== JSON.stringify([...after])) violations++
    })
    // The files themselves refuse every name that is not one.
    const files = nodeFiles(join(outer, 'store'))
    for (const bad of ['../outside', '..', '.', 'a/b', '', 'A', 'x'.repeat(81), 'a\0b'])
      await files.open(bad, true).then(
        () => violations++,
        () => undefined,
      )
  } finally {
    await rm(outer, { recursive: true, force: true })
  }
  mustHold(stored > 2 && refused > 0, `${stored} logs were stored, ${refused} names refused`, violations)
  return { trials, violations, refused, stored }
}
