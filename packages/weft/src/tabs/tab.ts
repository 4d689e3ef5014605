/**
 * One tab among those of its browser, which are one replica to everybody else. The first to come leads: its database has the store, the
 * socket and the mesh, as if it were alone. In every other tab the database is in memory and works through the leader. When the lead falls
 * to such a tab, it opens the store with a second database beside its own, the host, through which its own goes on like all others: what
 * the last leader had not stored is still in the tabs where it was written, and syncs again.
 *
 * A tab that is about to be frozen gives the lead up at once: it lets go of the files, and is a tab like any other when it wakes.
 */
import {
  type Channel,
  type Database,
  type KeyStore,
  type Runtime,
  type Storage,
  type Transport,
  WeftError,
} from '@weft-db/engine'
import { memoryFiles } from '@weft-db/storage/memory'
import { awake, fallAsleep } from '@weft-db/storage/weblock'
import type { TakenStore } from '../stores.ts'
import { TabFiles } from './files.ts'
import { Following } from './following.ts'
import { Leading, type Led } from './leading.ts'
import { type Candidacy, hallName, live, stand } from './lock.ts'
import type { HallMessage, Tidings } from './messages.ts'

/** What a tab is made of. */
export interface TabParts {
  readonly name: string
  readonly runtime: Runtime
  readonly keys: KeyStore
  /** To the server. */
  readonly transports: readonly Transport[]
  /** The browser's store, as soon as nobody else has it; undefined, and it is let go at once, when `waiting` is aborted before. */
  take(waiting: AbortSignal): Promise<TakenStore | undefined>
  /** A database beside the tab's own. */
  host(storage: Storage, transports: readonly Transport[]): Database
}

/** The database of the tab, and what it does by itself when it leads. */
export interface Front extends Omit<Led, 'read' | 'lasting'> {
  told(tidings: Tidings): Promise<void>
  changed(): void
  /** Resolves when the leader stores what was written here. */
  handOver(): Promise<void>
  /** It leads no more. */
  deposed(): Promise<void>
}

/** The store of the browser, and how this tab leads with it. */
interface Reign {
  readonly files: TabFiles
  readonly storage: TakenStore
  readonly host: Database | undefined
  leading: Leading | undefined
}

/** So long another tab may still have the store, ms: then its next leader works without it, and goes on waiting. */
const patience = 600
/** The same for a tab that opens: it would begin with nothing, although something is stored. */
const patienceOfOpening = 4_000

export class Tab {
  readonly #parts: TabParts
  /** Another one each time it wakes: the lock of the last may be with whoever waited for its end, and sleeps now. */
  #id = crypto.randomUUID()
  #front: Front | undefined
  #hall: BroadcastChannel | undefined
  #following: Following | undefined
  #candidacy: Candidacy | undefined
  #reign: Reign | undefined
  #decide: ((storage: Storage) => void) | undefined
  #giveUp: (error: WeftError) => void = () => undefined
  /** Whether the tab's own database has the store. */
  #owns = false
  /** As long as it leads. */
  #term: AbortController | undefined
  #isAsleep = false
  #isOver = false
  #onChannel: ((channel: Channel) => void) | undefined
  /** While it is awake: ends what the others see of it. */
  #life: Promise<() => void> | undefined

  constructor(parts: TabParts) {
    this.#parts = parts
  }

  /** Whether the tab's database works through another one. */
  get isBehind(): boolean {
    return !this.#owns
  }

  get following(): Following | undefined {
    return this.#following
  }

  /** How the tab leads with its own database. */
  get leading(): Leading | undefined {
    return this.#owns ? this.#reign?.leading : undefined
  }

  /** What the leader told last. */
  get tidings(): Tidings | undefined {
    return this.#owns ? undefined : this.#following?.tidings
  }

  /** The store of the tab's database: the browser's, or a copy. */
  async storage(): Promise<Storage> {
    return new Promise((resolve, reject) => {
      this.#decide = resolve
      this.#giveUp = reject
      this.#watchPage()
      this.#begin().catch(() => this.#beAlone())
    })
  }

  /** The browser refuses locks: the tab has no others, and no files that it would share with them. */
  async #beAlone(): Promise<void> {
    const storage = await this.#parts.take(new AbortController().signal)
    if (storage === undefined) return
    this.#owns = true
    this.#decide?.({ ...storage, release: () => this.close() })
    this.#decide = undefined
  }

  /** Its database closes: what is not open by now need not be. */
  closing(): void {
    this.#decide = undefined
    this.#giveUp(new WeftError('Closed', this.#parts.name))
  }

  /** The tab's database is made. */
  seat(front: Front): void {
    this.#front = front
    front.database.opened.then(
      () => this.#lead(),
      () => this.close(),
    )
  }

  /** The transport of the tab's database, whoever leads. */
  readonly transport: Transport = {
    start: (onChannel) => {
      this.#onChannel = onChannel
      this.#connect()
    },
    stop: async () => {
      this.#onChannel = undefined
      await this.#following?.transport.stop()
      if (!this.#owns) return
      await this.#reign?.leading?.transport.stop()
      for (const transport of this.#parts.transports) await transport.stop()
    },
  }

  #connect(): void {
    const onChannel = this.#onChannel
    if (onChannel === undefined) return
    if (!this.#owns) return this.#following?.transport.start(onChannel)
    for (const transport of this.#parts.transports) transport.start(onChannel)
    this.#reign?.leading?.transport.start(onChannel)
  }

  /** Leaves the server or comes back to it; the other tabs are no part of that. */
  async online(isOnline: boolean): Promise<void> {
    for (const transport of this.#parts.transports) {
      await transport.stop()
      if (isOnline && this.#onChannel !== undefined) transport.start(this.#onChannel)
    }
  }

  async #begin(): Promise<void> {
    await awake()
    if (this.#isOver || this.#isAsleep) return
    this.#life ??= live(this.#id)
    await this.#life
    if (this.#isOver || this.#isAsleep) return
    const { name, runtime } = this.#parts
    this.#hall ??= this.#openHall()
    if (!this.#owns) {
      this.#following ??= new Following(name, this.#id, runtime, {
        tidings: async (tidings) => this.#front?.told(tidings),
        changed: () => {
          if (this.#following?.isAttached === true) this.#follow()
          this.#front?.changed()
        },
        handOver: async () => this.#front?.handOver(),
        silent: () => this.#stand(true),
      })
      if (this.#decide === undefined) this.#connect()
    }
    if (this.#candidacy === undefined) this.#stand(false)
  }

  #openHall(): BroadcastChannel {
    const hall = new BroadcastChannel(hallName(this.#parts.name))
    hall.onmessage = ({ data }: MessageEvent<HallMessage>) => {
      if (data.kind !== 'seek') return
      const leading = this.#reign?.leading
      if (leading !== undefined) leading.sought(data.tab, data.line)
      else if (this.#term !== undefined) this.#comes()
    }
    return hall
  }

  /** Who waits for a leader is not to take the lead from one that opens a large store. */
  #comes(): void {
    this.#hall?.postMessage({ kind: 'coming' } satisfies HallMessage)
  }

  #stand(byForce: boolean): void {
    this.#candidacy?.end()
    this.#candidacy = stand(this.#parts.name, byForce, {
      elected: () => {
        const term = new AbortController()
        this.#term = term
        this.#comes()
        this.#reigns(term.signal).catch(() => (this.#term === term ? this.#resign() : undefined))
      },
      deposed: () => {
        this.#candidacy = undefined
        this.#resign()
          .catch(() => undefined)
          .then(() => this.#begin())
          .catch(() => undefined)
      },
    })
  }

  /** There is a leader, and it is another tab. */
  #follow(): void {
    this.#decide?.({
      files: new TabFiles(undefined, this.#readFromLeader),
      keys: keptKeys(this.#parts.keys),
      release: () => this.close(),
      mode: 'tab',
      lasting: true,
    })
    this.#decide = undefined
  }

  /** `term`: aborted when it leads no more. */
  async #reigns(term: AbortSignal): Promise<void> {
    const wait = this.#decide === undefined ? patience : patienceOfOpening
    const cancel = this.#parts.runtime.timer(wait, () => {
      this.#follow()
      this.#reignWithout().catch(() => undefined)
    })
    term.addEventListener('abort', cancel)
    const storage = await this.#parts.take(term).finally(cancel)
    if (storage === undefined) return
    const quit = (): void => storage.quit()
    if (term.aborted) return quit()
    // The page may be frozen before anything answers.
    term.addEventListener('abort', quit)
    if (this.#decide !== undefined) {
      this.#owns = true
      const files = new TabFiles(storage.files, this.#readFromLeader)
      this.#reign = { files, storage, host: undefined, leading: undefined }
      this.#following?.stop()
      this.#following = undefined
      this.#decide({ ...storage, files, release: () => this.close() })
      this.#decide = undefined
      return
    }
    await this.#endReign()
    if (!term.aborted) await this.#reignWith(storage)
  }

  /** Somebody has the files who does not answer. Until he does the tabs have each other and the server, and nothing is kept. */
  async #reignWithout(): Promise<void> {
    const { network, root, person } = this.#front?.database ?? {}
    const host = await this.#reignWith({
      quit: () => undefined,
      files: memoryFiles(),
      keys: keptKeys(this.#parts.keys),
      mode: 'memory',
      lasting: false,
      reason: 'another tab has the files open and does not answer',
    })
    if (network !== undefined && root !== undefined)
      await host.adopt({ network, root: root.after(0), certificate: person?.bytes })
  }

  readonly #readFromLeader = async (name: string): Promise<Uint8Array | undefined> =>
    (await this.#following?.insist('read', { name })) ?? undefined

  /** Leads with a database beside the tab's own. */
  async #reignWith(storage: TakenStore): Promise<Database> {
    const files = new TabFiles(storage.files, async () => undefined)
    let accept: ((channel: Channel) => void) | undefined
    const tabs: Transport = {
      start: (onChannel) => {
        accept = onChannel
        reign.leading?.transport.start(onChannel)
      },
      stop: async () => {
        accept = undefined
        await reign.leading?.transport.stop()
      },
    }
    const host = this.#parts.host({ ...storage, files, release: async () => undefined }, [
      ...this.#parts.transports,
      tabs,
    ])
    const reign: Reign = { files, storage, host, leading: undefined }
    this.#reign = reign
    await host.opened
    if (this.#reign !== reign) return host
    reign.leading = this.#leadWith(reign, {
      database: host,
      login: (login) => host.login(login),
      logout: (discard) => host.logout({ discard }),
      request: (request) => host.ask(request),
      connect: async (isOnline) => (isOnline ? host.connect() : host.disconnect()),
    })
    if (accept !== undefined) reign.leading.transport.start(accept)
    return host
  }

  /** The tab's own database is open. */
  #lead(): void {
    const front = this.#front
    const reign = this.#reign
    if (front === undefined || reign === undefined || !this.#owns) return
    // Without a store that lasts there is nothing to share: each tab is on its own.
    if (!reign.storage.lasting) return this.#candidacy?.end()
    reign.leading = this.#leadWith(reign, front)
    if (this.#onChannel !== undefined) reign.leading.transport.start(this.#onChannel)
  }

  #leadWith(reign: Reign, led: Omit<Led, 'read' | 'lasting'>): Leading {
    const hall = this.#hall ?? this.#openHall()
    return new Leading(this.#parts.name, this.#id, hall, {
      database: led.database,
      lasting: reign.storage.lasting,
      login: (login) => led.login(login),
      logout: (discard) => led.logout(discard),
      request: (request) => led.request(request),
      connect: (online) => led.connect(online),
      read: async (name) => {
        const file = await reign.files.open(name, false)
        const bytes = await file?.read(0, await file.size())
        await file?.close()
        return bytes
      },
    })
  }

  /** Leads no more: lets go of the files before it does anything else. */
  async #resign(): Promise<void> {
    this.#term?.abort()
    this.#term = undefined
    this.#candidacy?.end()
    this.#candidacy = undefined
    await this.#endReign()
  }

  async #endReign(): Promise<void> {
    const reign = this.#reign
    this.#reign = undefined
    if (reign === undefined) return
    reign.files.letGo()
    reign.leading?.stop()
    if (this.#owns) {
      this.#owns = false
      for (const transport of this.#parts.transports) await transport.stop()
      await this.#front?.deposed()
    } else await reign.host?.close()
    if (this.#isOver) await reign.storage.release?.()
  }

  #watchPage(): void {
    const { document } = globalThis
    document?.addEventListener('freeze', this.#freeze)
    document?.addEventListener('resume', this.#wake)
    globalThis.addEventListener?.('pagehide', this.#hide)
    globalThis.addEventListener?.('pageshow', this.#wake)
  }

  readonly #freeze = (): void => {
    if (this.#isAsleep) return
    this.#sleep()
    fallAsleep()
  }

  readonly #hide = ({ persisted }: PageTransitionEvent): void => {
    if (persisted) this.#sleep()
  }

  #sleep(): void {
    if (this.#isAsleep) return
    this.#isAsleep = true
    this.#candidacy?.end()
    this.#candidacy = undefined
    this.#following?.stop()
    this.#following = undefined
    this.#resign().catch(() => undefined)
    // A page that hears something is not kept for the way back.
    this.#hall?.close()
    this.#hall = undefined
    this.#endLife()
  }

  readonly #wake = (): void => {
    if (!this.#isAsleep) return
    this.#isAsleep = false
    this.#begin().catch(() => undefined)
  }

  #endLife(): void {
    this.#life?.then(
      (end) => end(),
      () => undefined,
    )
    this.#life = undefined
    this.#id = crypto.randomUUID()
  }

  /** The tab's database closed. */
  async close(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    this.#following?.stop()
    this.#following = undefined
    try {
      // What a host has not stored yet it stores.
      await this.#reign?.host?.close()
      await this.#endReign()
    } finally {
      this.#term?.abort()
      this.#candidacy?.end()
      this.#hall?.close()
      this.#endLife()
      const { document } = globalThis
      document?.removeEventListener('freeze', this.#freeze)
      document?.removeEventListener('resume', this.#wake)
      globalThis.removeEventListener?.('pagehide', this.#hide)
      globalThis.removeEventListener?.('pageshow', this.#wake)
    }
  }
}

/** Keys that the leader alone stores and removes. */
const keptKeys = ({ load }: KeyStore): KeyStore => ({
  load,
  save: async () => undefined,
  remove: async () => undefined,
})
