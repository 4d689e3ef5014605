/**
 * A client that writes without pause and keeps, of every commit, whether the authority acknowledged it. It counts what it sees, so that a
 * kill can be aimed at the n-th commit stored here (which is about to leave) or the n-th acknowledgement (the server is in the middle of
 * the next ones).
 */
import { anonymous, Database, liveOf, type Repository, saved, WeftError } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import type { Stream } from '../sim/random.ts'
import { Card, path } from './board.ts'
import { until } from './watching.ts'

export type Happening = 'stored' | 'acknowledged'

/** Counts happenings over all clients; each may be waited for. */
export class Tally {
  readonly #waiting: { kind: Happening; left: number; resolve(): void }[] = []

  add(kind: Happening): void {
    for (const waiter of this.#waiting.slice()) {
      if (waiter.kind !== kind || --waiter.left > 0) continue
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
      waiter.resolve()
    }
  }

  /** Resolves at the `count`-th happening from now. */
  after(kind: Happening, count: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ kind, left: count, resolve }))
  }
}

const sharedKey = 'shared'
/** Commits of one writer that wait for the authority. */
const mostOpen = 40

export class Client {
  readonly database: Database
  readonly repository: Repository
  readonly #tally: Tally
  readonly #ledger: Set<string>
  readonly #writers: Promise<void>[] = []
  /** Why a commit was refused: never expected. */
  readonly refused: unknown[] = []
  #running = false
  #stop: () => void = () => undefined
  readonly #stopped = new Promise<void>((resolve) => {
    this.#stop = resolve
  })

  constructor(port: number, tally: Tally, ledger: Set<string>) {
    const files = memoryFiles()
    const keys = memoryKeys()
    this.#tally = tally
    this.#ledger = ledger
    this.database = new Database({
      schemas: [Card],
      runtime: nodeRuntime(),
      storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
      transports: [
        socketIoTransport({
          url: `http://127.0.0.1:${port}`,
          retry: { firstDelay: 10, longestDelay: 100, settled: 100 },
        }),
      ],
      captureRate: 30,
    })
    this.repository = this.database.repository(path)
  }

  async open(name: string): Promise<void> {
    await this.database.login(anonymous(name))
    await this.repository.ready
  }

  /** Writes until `stop`: cards of its own, assignments to them, and text in a card that everybody writes. */
  start(random: Stream, writers: number): void {
    this.#running = true
    for (let writer = 0; writer < writers; writer++) this.#writers.push(this.#write(random.branch(`writer ${writer}`)))
  }

  async stop(): Promise<void> {
    this.#running = false
    this.#stop()
    await Promise.all(this.#writers)
  }

  /** Resolves when the authority has acknowledged all that was written. */
  settled(): Promise<void> {
    return until(this.database, () => this.repository.unacknowledged === 0)
  }

  async #write(random: Stream): Promise<void> {
    const open: Promise<void>[] = []
    let own = this.repository.create(Card, { title: random.label })
    for (let count = 0; this.#running; count++) {
      const choice = random.int(8)
      let item = own
      if (choice === 0) {
        own = this.repository.create(Card, { title: `${random.label} ${count}` })
        item = own
      } else if (choice === 1) {
        item = this.repository.item(Card, sharedKey) ?? this.repository.create(Card, {}, { key: sharedKey })
        item.notes.insert(random.int(item.notes.length + 1), `${count}.`)
      } else own.votes = count
      await saved(item, 'local')
      const { merged } = liveOf(item)
      const ids = merged.heads.map((index) => merged.graph.node(index).id)
      this.#tally.add('stored')
      const acknowledged = saved(item, 'authority').then(
        () => {
          for (const id of ids) this.#ledger.add(id)
          this.#tally.add('acknowledged')
        },
        (error: unknown) => {
          if (!(error instanceof WeftError && error.code === 'Closed')) this.refused.push(error)
        },
      )
      open.push(acknowledged)
      // While the server is away, writing goes on for a while.
      if (open.length > mostOpen) await Promise.race([open.shift(), this.#stopped])
    }
  }
}
