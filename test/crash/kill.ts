/**
 * Kills a real server under load, again and again, and looks for an acknowledged commit that is gone. Right after each kill, before
 * anybody could bring a lost commit again, the log is read as it lies on the disk: every commit acknowledged so far must be in it, and
 * nothing that a kill left before may have changed. At the end the folder is opened by the engine, where a checkpoint must cover each of
 * them, and a new client clones the repository from the server.
 */
import { hash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Database, isRefusal, keyOf, logName, type Repository, readCommit } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { nodeFiles } from '@weft-db/storage/node'
import { scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader } from '../../packages/engine/src/log/packedlog.ts'
import { Stream } from '../sim/random.ts'
import { Card, path } from './board.ts'
import { Client, Tally } from './load.ts'
import { freePort, ServerProcess } from './process.ts'
import { until } from './watching.ts'

export interface Outcome {
  readonly kills: number
  /** Commits that the authority acknowledged. */
  readonly acked: number
  /** Of these, how many were missing on the disk after some kill, not covered at the end, or not in the clone. */
  readonly ackedLost: number
  readonly seed: string
  /** Whether the folder, the clone and the clients show the same items. */
  readonly converged: boolean
  /** Kills after which the log ended in the middle of a frame. */
  readonly torn: number
  /** What was not expected: refused commits, a damaged log, faults of the server. */
  readonly oddities: readonly string[]
}

const clients = 3
const writers = 4
/** A kill comes after so many happenings at most. */
const longest = 60

const runtime = nodeRuntime()

export const killServer = async (
  kills: number,
  seed: string,
  onKill: (kill: number, acked: number) => void = () => undefined,
): Promise<Outcome> => {
  const random = new Stream(seed, 'kill')
  const folder = await mkdtemp(join(tmpdir(), 'weft-kill-'))
  const store = join(folder, 'store')
  const port = await freePort(random.branch('port'))
  const tally = new Tally()
  const ledger = new Set<string>()
  const lost = new Set<string>()
  const oddities: string[] = []
  const disk = new Disk(join(store, logName(path, runtime)))
  const loads: Client[] = []
  let server = new ServerProcess(store, port)
  const killed = async (): Promise<void> => {
    await server.kill()
    if (server.errors !== '') oddities.push(server.errors)
    const stored = await disk.read(oddities)
    for (const id of ledger) if (!stored.has(id)) lost.add(id)
  }
  try {
    await server.says('ready')
    for (let index = 0; index < clients; index++) loads.push(new Client(port, tally, ledger))
    await Promise.all(loads.map((client, index) => client.open(`Client ${index}`)))
    for (const [index, client] of loads.entries()) client.start(random.branch(`client ${index}`), writers)
    for (let kill = 1; kill <= kills; kill++) {
      const [aim, count] = [random.unit(), 1 + random.int(longest)]
      // Some kills meet a server that has only begun to open its store.
      if (aim < 0.1) await server.says('opening')
      else {
        await server.says('ready')
        await tally.after(aim < 0.55 ? 'stored' : 'acknowledged', count)
      }
      await killed()
      onKill(kill, ledger.size)
      if (kill < kills) server = new ServerProcess(store, port)
    }
    await Promise.all(loads.map((client) => client.stop()))

    const opened = await openFolder(store)
    for (const id of ledger) {
      if (!opened.repository.pipeline.commits.has(id) || !opened.repository.covers(id)) lost.add(id)
    }
    await opened.database.close()

    server = new ServerProcess(store, port)
    await server.says('ready')
    // Once all is covered, the authority's log is at its end, and what the clients hold together is all there is.
    await Promise.all(loads.map((client) => client.settled()))
    const all = Math.max(...loads.map(({ repository }) => repository.pipeline.log.next))
    const fresh = new Client(port, tally, ledger)
    loads.push(fresh)
    await fresh.open('Fresh')
    const made = new Set(loads.flatMap(({ repository }) => [...idsOf(repository)])).size
    const isLevel = ({ pipeline }: Repository): boolean => pipeline.commits.size === made && pipeline.log.next >= all
    await Promise.all(loads.map(({ database, repository }) => until(database, () => isLevel(repository))))
    for (const id of ledger) if (!fresh.repository.pipeline.commits.has(id)) lost.add(id)
    // Nothing was missing after any of the kills, so nothing is to be taken back from anybody.
    const epoch = fresh.repository.pipeline.position?.epoch
    if (epoch !== 0) oddities.push(`the log stands in epoch ${epoch}`)
    const [shown, ...others] = loads.map(({ repository }) => shownBy(repository))
    const converged = others.every((other) => other === shown)
    for (const { refused } of loads) for (const error of refused) oddities.push(String(error))
    return { kills, acked: ledger.size, ackedLost: lost.size, seed, converged, torn: disk.torn, oddities }
  } finally {
    await server.kill()
    await Promise.all(loads.map(async (client) => client.stop()))
    await Promise.all(loads.map(({ database }) => database.close()))
    await rm(folder, { recursive: true, force: true })
  }
}

/** The log of the repository as it lies on the disk while no process has it. */
class Disk {
  readonly #file: string
  readonly #ids = new Set<string>()
  #packs = new PackedLogReader(runtime.hash)
  #good = 0
  #fingerprint = ''
  /** How often the log ended within a frame. */
  torn = 0

  constructor(file: string) {
    this.#file = file
  }

  /** The ids of all commits in it. What was whole at the last reading must not have changed. */
  async read(oddities: string[]): Promise<ReadonlySet<string>> {
    const bytes = await readFile(this.#file).catch(() => Buffer.alloc(0))
    if (this.#good > 0 && fingerprintOf(bytes.subarray(0, this.#good)) !== this.#fingerprint) {
      oddities.push(`the first ${this.#good} bytes of the log changed`)
      this.#ids.clear()
      this.#packs = new PackedLogReader(runtime.hash)
      this.#good = 0
    }
    const { frames, good, damage, torn } = scan(bytes, this.#good)
    for (const { from, to } of damage) oddities.push(`the log is damaged from ${from} to ${to}`)
    for (const frame of frames) {
      const records = this.#packs.records(frame)
      if (isRefusal(records)) oddities.push(`the log holds a pack that is ${records.code}`)
      for (const bytes of isRefusal(records) ? [] : records) {
        const commit = readCommit(bytes, runtime.hash)
        if (isRefusal(commit)) oddities.push(`the log holds a commit that is ${commit.code}`)
        else this.#ids.add(commit.id)
      }
    }
    if (torn) this.torn++
    this.#good = good
    this.#fingerprint = fingerprintOf(bytes.subarray(0, good))
    return this.#ids
  }
}

const fingerprintOf = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex')

/** Opened as a plain replica, so that opening covers nothing that was not covered before. */
const openFolder = async (folder: string): Promise<{ database: Database; repository: Repository }> => {
  const database = new Database({
    schemas: [Card],
    runtime,
    storage: async () => ({ files: nodeFiles(folder), keys: memoryKeys(), mode: 'node', lasting: true }),
  })
  const repository = database.repository(path)
  await repository.ready
  return { database, repository }
}

function* idsOf({ pipeline }: Repository): Generator<string> {
  for (let index = 0; ; index++) {
    const commit = pipeline.commits.at(index)
    if (commit === undefined) return
    yield commit.id
  }
}

const shownBy = (repository: Repository): string =>
  JSON.stringify((repository.query(Card).current ?? []).map((card) => [keyOf(card), card]).sort())
