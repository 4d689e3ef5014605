/**
 * A replica that leads the tabs: it has the store, the socket and the mesh, and the others work through it. Each of them has a line, whose
 * channel its replica takes like any other's.
 */
import type { Channel, Credentials, Database, LoginOutcome, Request, Transport } from '@weft-db/engine'
import { Line } from './line.ts'
import { lineName, outlive } from './lock.ts'
import type { HallMessage, Questions, Tidings, Topic } from './messages.ts'

/** What leading needs of the replica, whatever it is to its own tab. */
export interface Led {
  readonly database: Database
  readonly lasting: boolean
  /** A file as it is stored. */
  read(name: string): Promise<Uint8Array | undefined>
  login(login: Credentials): Promise<LoginOutcome>
  logout(discard: boolean): Promise<void>
  request(request: Request): Promise<void>
  connect(online: boolean): Promise<void>
}

interface Guest {
  readonly line: Line
  /** A commit it made, until it is stored here. */
  readonly keeping: Set<{ readonly path: string; readonly id: string; stored(): void }>
  forget(): void
  /** It wants a channel. */
  call: number | undefined
}

/** How long a logout waits for other tabs to hand over what was written in them, ms: a frozen one does not answer. */
const handOverTime = 1_000

export class Leading {
  readonly #name: string
  readonly #leader: string
  readonly #hall: BroadcastChannel
  readonly #led: Led
  readonly #guests = new Map<string, Guest>()
  #onChannel: ((channel: Channel) => void) | undefined
  #isTelling = false
  #isOver = false
  readonly #stops: (() => void)[] = []

  /** `leader`: the tab. The replica is open. */
  constructor(name: string, leader: string, hall: BroadcastChannel, led: Led) {
    this.#name = name
    this.#leader = leader
    this.#hall = hall
    this.#led = led
    const tell = (): void => this.#tell()
    this.#stops.push(led.database.onStatus(tell), led.database.mesh.onPaths(tell))
    this.#say({ kind: 'lead', leader, line: null })
  }

  /** The replica's transport to the other tabs. */
  readonly transport: Transport = {
    start: (onChannel) => {
      this.#onChannel = onChannel
      for (const guest of this.#guests.values()) this.#connect(guest)
    },
    stop: async () => {
      this.#onChannel = undefined
      for (const { line } of this.#guests.values()) line.hangUp('stopped')
    },
  }

  #say(message: HallMessage): void {
    this.#hall.postMessage(message)
  }

  /** A tab looks for its leader. */
  sought(tab: string, lineId: string): void {
    if (this.#isOver) return
    this.#guests.get(tab)?.line.close()
    const leave = (): void => {
      if (this.#guests.get(tab) !== guest) return
      this.#guests.delete(tab)
      guest.forget()
    }
    const guest: Guest = {
      line: new Line(lineName(this.#name, lineId), {
        answer: (topic, ask) => this.#answer(guest, topic, ask),
        tidings: () => undefined,
        dialled: (call) => {
          guest.call = call
          this.#connect(guest)
        },
        closed: leave,
      }),
      keeping: new Set(),
      forget: outlive(tab, () => {
        leave()
        guest.line.close()
      }),
      call: undefined,
    }
    this.#guests.get(tab)?.forget()
    this.#guests.set(tab, guest)
    this.#say({ kind: 'lead', leader: this.#leader, line: lineId })
    guest.line.post({ kind: 'tidings', tidings: this.#tidings() })
  }

  #connect(guest: Guest): void {
    const { call } = guest
    if (call === undefined || this.#onChannel === undefined) return
    guest.call = undefined
    this.#onChannel(guest.line.open(call, false))
  }

  async #answer<T extends Topic>(guest: Guest, topic: T, asked: Questions[T]['ask']): Promise<Questions[T]['answer']> {
    type Handlers = { [K in Topic]: (ask: Questions[K]['ask']) => Promise<Questions[K]['answer']> }
    const led = this.#led
    const handlers: Handlers = {
      read: async ({ name }) => (await led.read(name)) ?? null,
      root: async () => led.database.root.after(0),
      evidence: async () => led.database.evidence(),
      keep: (ask) => this.#keep(guest, ask),
      login: async (login) => {
        const outcome = await led.login(login)
        this.#post()
        return outcome
      },
      logout: async ({ discard }) => {
        await this.logout(discard)
        return null
      },
      request: async (request) => {
        await led.request(request)
        return null
      },
      connect: async ({ online }) => {
        await led.connect(online)
        return null
      },
      measure: async () => {
        led.database.mesh.measure()
        return null
      },
      handOver: async () => null,
      wake: async () => null,
    }
    return handlers[topic](asked)
  }

  #keep(guest: Guest, { path, id }: { readonly path: string; readonly id: string }): Promise<null> {
    return new Promise((resolve) => {
      guest.keeping.add({ path, id, stored: () => resolve(null) })
      this.#tell()
    })
  }

  /** Once a microtask. */
  #tell(): void {
    if (this.#isTelling || this.#isOver) return
    this.#isTelling = true
    queueMicrotask(() => {
      this.#isTelling = false
      this.#post()
    })
  }

  /** What a tab counts as not stored, the leader counts from the same message on. */
  #post(): void {
    if (this.#isOver) return
    const tidings = this.#tidings()
    const { lasting } = this.#led
    for (const { line, keeping } of this.#guests.values()) {
      line.post({ kind: 'tidings', tidings })
      for (const one of keeping) {
        const repository = [...this.#led.database.repositories].find(({ path }) => path === one.path)
        if (!lasting || repository?.pipeline.commits.has(one.id) !== true) continue
        keeping.delete(one)
        one.stored()
      }
    }
  }

  #tidings(): Tidings {
    const { database, lasting } = this.#led
    const { status, mesh, network, session, identity, person, clock, connections } = database
    return {
      status,
      lasting,
      connections,
      now: clock.now(),
      network,
      session,
      key: identity?.key.publicKey,
      certificate: person?.bytes ?? null,
      paths: mesh.paths,
      neighbours: mesh.neighbours,
      server: mesh.server,
      repositories: [...database.repositories].map(({ path, synced, unacknowledged, barred }) => ({
        path,
        synced,
        unacknowledged,
        barred: barred && { code: barred.code, about: barred.about },
      })),
    }
  }

  /** Logs the person out of every tab. What was written in the others is taken over first, as far as they are awake. */
  async logout(discard: boolean): Promise<void> {
    if (!discard) await this.#takeOver()
    try {
      await this.#led.logout(discard)
    } finally {
      this.#post()
    }
  }

  async #takeOver(): Promise<void> {
    const all = [...this.#guests.values()].map(({ line }) => line.ask('handOver', null).catch(() => null))
    let cancel = (): void => undefined
    const late = new Promise<void>((resolve) => {
      cancel = this.#led.database.runtime.timer(handOverTime, resolve)
    })
    await Promise.race([Promise.all(all), late])
    cancel()
  }

  /** The tab leads no more: each of the others looks for the next one. */
  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    for (const stop of this.#stops) stop()
    for (const { line, forget } of this.#guests.values()) {
      forget()
      line.close()
    }
    this.#guests.clear()
  }
}
