/**
 * Backs up a real server under load, again and again: to the end, by a process that is killed on the way, and while the server itself is
 * killed. After each of them the backup is restored, verified from the key up, and must hold every commit that was acknowledged before the
 * last whole backup began.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { auditFolder, run } from '@weft-db/cli'
import { isRefusal, logName } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader } from '../../packages/engine/src/log/packedlog.ts'
import { Stream } from '../sim/random.ts'
import { path } from './board.ts'
import { Client, Tally } from './load.ts'
import { freePort, ServerProcess } from './process.ts'

export interface Backups {
  readonly backups: number
  /** By processes that were killed before they were through. */
  readonly cutShort: number
  readonly acked: number
  /** Acknowledged before a backup began, and not in it. */
  readonly ackedLost: number
  readonly oddities: readonly string[]
}

const runtime = nodeRuntime()
const top = fileURLToPath(new URL('../..', import.meta.url))
const clients = 2
const writers = 3

export const backUpUnderLoad = async (backups: number, seed: string): Promise<Backups> => {
  const random = new Stream(seed, 'backups')
  const folder = await mkdtemp(join(tmpdir(), 'weft-backups-'))
  const [store, target] = [join(folder, 'store'), join(folder, 'backup')]
  const port = await freePort(random.branch('port'))
  const tally = new Tally()
  const ledger = new Set<string>()
  const lost = new Set<string>()
  const oddities: string[] = []
  const loads: Client[] = []
  let cutShort = 0
  /** What the backup that is there must hold. */
  let due: ReadonlySet<string> = new Set()
  let server = new ServerProcess(store, port)
  try {
    await server.says('ready')
    for (let index = 0; index < clients; index++) loads.push(new Client(port, tally, ledger))
    await Promise.all(loads.map((client, index) => client.open(`Client ${index}`)))
    for (const [index, client] of loads.entries()) client.start(random.branch(`client ${index}`), writers)
    for (let count = 0; count < backups; count++) {
      await tally.after('acknowledged', 1 + random.int(30))
      const acked = new Set(ledger)
      const way = count === 0 ? 'to the end' : random.pick(['to the end', 'killed', 'server killed'] as const)
      let isDone = true
      if (way === 'killed') isDone = await killedBackup(store, target, tally.after('stored', 1 + random.int(120)))
      else {
        const done = backUp(store, target)
        if (way === 'server killed') {
          await server.kill()
          if (server.errors !== '') oddities.push(server.errors)
        }
        const why = await done
        if (why !== undefined) oddities.push(`${way}: ${why}`)
        if (way === 'server killed') {
          server = new ServerProcess(store, port)
          await server.says('ready')
        }
      }
      if (isDone) due = acked
      else cutShort++
      const restored = join(folder, `restored ${count}`)
      oddities.push(...(await restore(target, restored)))
      const held = await idsIn(join(restored, logName(path, runtime)))
      for (const id of due) if (!held.has(id)) lost.add(id)
      await rm(restored, { recursive: true, force: true })
    }
    for (const { refused } of loads) for (const error of refused) oddities.push(String(error))
    return { backups, cutShort, acked: ledger.size, ackedLost: lost.size, oddities }
  } finally {
    await server.kill()
    await Promise.all(loads.map((client) => client.stop()))
    await Promise.all(loads.map(({ database }) => database.close()))
    await rm(folder, { recursive: true, force: true })
  }
}

/** What went wrong, if anything did. */
const backUp = async (from: string, to: string): Promise<string | undefined> => {
  let said = ''
  const take = (text: string): void => {
    said += text
  }
  return (await run(['backup', from, to], { out: take, error: take })) === 0 ? undefined : said
}

/** Whether it was through before it was killed. */
const killedBackup = async (from: string, to: string, moment: Promise<void>): Promise<boolean> => {
  const main = ['--import', 'tsx', '--conditions=weft-source', 'packages/cli/src/main.ts', 'backup', from, to]
  const child = spawn(process.execPath, main, { cwd: top, stdio: 'ignore' })
  const exited = new Promise<number | null>((resolve) => void child.once('exit', (code) => resolve(code)))
  await Promise.race([moment, exited])
  child.kill('SIGKILL')
  return (await exited) === 0
}

const restore = async (from: string, to: string): Promise<string[]> => {
  let said = ''
  const take = (text: string): void => {
    said += text
  }
  if ((await run(['restore', from, to], { out: take, error: take })) !== 0) return [said]
  const { problems } = await auditFolder(to)
  return problems.map(({ message }) => message)
}

const idsIn = async (file: string): Promise<ReadonlySet<string>> => {
  const ids = new Set<string>()
  const packs = new PackedLogReader(runtime.hash)
  const isThere = await stat(file).catch(() => undefined)
  for (const frame of isThere === undefined ? [] : scan(await readFile(file)).frames) {
    const read = packs.read(frame)
    for (const { id } of isRefusal(read) ? [] : read) ids.add(id)
  }
  return ids
}
