/**
 * Replicas of one app under virtual time, for tests that need to say exactly what happens when: an authority, clients that reach it over
 * memory channels, disks whose failures a test decides, and bare channels for a peer that does not keep the rules. An unhandled
 * rejection anywhere fails the run.
 */
import {
  anonymous,
  boolean,
  type Channel,
  Database,
  type DatabaseOptions,
  date,
  type File,
  type Files,
  type Incident,
  map,
  number,
  order,
  type Runtime,
  type SigningKey,
  type Status,
  StorageError,
  schema,
  set,
  string,
  type Transport,
  text,
} from '@weft-db/engine'
import { Device } from '../sim/device.ts'
import { type MemoryPair, memoryPair } from '../sim/memory-transport.ts'
import { soundNode } from '../sim/plan.ts'
import { Signatures } from '../sim/signatures.ts'
import { World } from '../sim/world.ts'

export const Card = schema('card', 1, {
  title: string({ max: 500 }),
  about: string(),
  done: boolean(),
  points: number({ integer: true }),
  due: date(),
  tags: set(string()),
  votes: map(number()),
  notes: text(),
  more: text(),
  place: order(),
})

export const Note = schema('note', 1, { title: string() })

export const board = '/board/roadmap'

/** What a test makes go wrong on one device. */
export interface Faults {
  /** Every sync of a file fails with this, as long as it is set. */
  sync?: (() => Error) | undefined
  /** Syncs wait for this. */
  hold?: Promise<void> | undefined
  /** Told of every call to the files before it is made. When it says false, the process died: neither this call nor a later one ends. */
  operation?: ((what: string) => boolean) | undefined
  /** Signing is done by this first. */
  sign?: ((message: Uint8Array) => void | Promise<void>) | undefined
}

export const diskFull = (): Error => new StorageError('DiskFull', 'test')

export interface Replica {
  readonly name: string
  readonly database: Database
  readonly incidents: Incident[]
  readonly statuses: Status[]
  readonly faults: Faults
}

export class Lab {
  readonly world: World
  readonly #signatures: Signatures
  readonly #devices = new Map<string, Device>()
  readonly #faults = new Map<string, Faults>()
  readonly #pairs = new Map<string, MemoryPair>()
  #authorityKey: SigningKey | undefined
  #accept: ((channel: Channel) => void) | undefined

  constructor(seed: string) {
    this.world = new World(seed, { keep: 0 })
    this.#signatures = new Signatures('fast', this.world.stream('signatures'))
  }

  device(name: string): Device {
    const known =
      this.#devices.get(name) ??
      new Device(this.world, name, this.#signatures, { ...soundNode(name, 'browser'), lateness: 0 })
    this.#devices.set(name, known)
    return known
  }

  faults(name: string): Faults {
    const known = this.#faults.get(name) ?? {}
    this.#faults.set(name, known)
    return known
  }

  /** A key as the authority's, or anybody's. */
  key(name: string): SigningKey {
    return this.#signatures.generate(this.world.stream(`key of ${name}`))
  }

  get authorityKey(): SigningKey {
    this.#authorityKey ??= this.key('authority')
    return this.#authorityKey
  }

  /** The key that the next authority has. */
  set authorityKey(key: SigningKey) {
    this.#authorityKey = key
  }

  /** A runtime for somebody who is no replica. */
  runtime(name: string): Runtime {
    return this.device(name).boot().runtime
  }

  async authority(options: Partial<DatabaseOptions> = {}): Promise<Replica> {
    const transport: Transport = {
      start: (onChannel) => {
        this.#accept = onChannel
      },
      stop: async () => {
        this.#accept = undefined
      },
    }
    const authority = { ...this.authorityKey }
    const faults = this.faults('authority')
    const plain = authority.sign
    authority.sign = async (message) => {
      await faults.sign?.(message)
      return plain(message)
    }
    return this.start('authority', { authority, transports: [transport], logins: [anonymous()], ...options })
  }

  /** A client that dials the authority by itself as soon as both are there. */
  async client(name: string, options: Partial<DatabaseOptions> = {}): Promise<Replica> {
    const pair = memoryPair()
    this.#pairs.set(name, pair)
    const replica = await this.start(name, { transports: [pair.a], ...options })
    this.connect(name)
    return replica
  }

  async join(name: string, options: Partial<DatabaseOptions> = {}): Promise<Replica> {
    const replica = await this.client(name, options)
    const login = replica.database.login(anonymous(name))
    login.catch(() => undefined)
    await this.until(() => replica.database.session !== undefined && replica.database.status.connection === 'online')
    await this.run(0)
    return replica
  }

  connect(name: string): void {
    const pair = this.#pairs.get(name)
    const accept = this.#accept
    if (pair === undefined || accept === undefined) return
    try {
      pair.b.start((channel) => this.#accept?.(channel))
    } catch {
      // Started by an earlier call.
    }
    pair.connect()
  }

  disconnect(name: string): void {
    this.#pairs.get(name)?.disconnect()
  }

  pair(name: string): MemoryPair {
    const pair = this.#pairs.get(name)
    if (pair === undefined) throw new Error(`${name} has no line`)
    return pair
  }

  /** A line of its own to the authority, for `start`: dials with `a` after `connect()`. */
  line(): MemoryPair {
    const pair = memoryPair()
    pair.b.start((channel) => this.#accept?.(channel))
    return pair
  }

  /** A bare channel to the authority. */
  dial(): { channel: Channel; received: Uint8Array[]; state: { closed: string | undefined } } {
    const pair = memoryPair()
    const received: Uint8Array[] = []
    const state: { closed: string | undefined } = { closed: undefined }
    let made: Channel | undefined
    pair.a.start((channel) => {
      made = channel
      channel.listen({
        message: (bytes) => received.push(bytes),
        drain: () => undefined,
        closed: (reason) => {
          state.closed = reason
        },
      })
    })
    pair.b.start((channel) => this.#accept?.(channel))
    pair.connect()
    if (made === undefined) throw new Error('no authority')
    return { channel: made, received, state }
  }

  async start(name: string, options: Partial<DatabaseOptions> = {}): Promise<Replica> {
    const device = this.device(name)
    const { runtime, keys } = device.boot()
    const faults = this.faults(name)
    const dead = gate()
    const files = faulty(device.disk.files(), faults, dead.open)
    const incidents: Incident[] = []
    const statuses: Status[] = []
    const database = new Database({
      schemas: [Card, Note],
      runtime,
      // Histories here are short.
      snapshotFrom: 512,
      storage: async () => ({
        files,
        keys: {
          ...keys,
          load: async (key) => failing(await keys.load(key), faults),
          save: (key, signing) => keys.save(key, bare.get(signing) ?? signing),
        },
        mode: 'test',
        lasting: true,
      }),
      ...options,
    })
    const generate = runtime.generateKey.bind(runtime)
    Object.assign(runtime, { generateKey: async () => failing(await generate(), faults) })
    database.onIncident((incident) => incidents.push(incident))
    database.onStatus((status) => statuses.push(status))
    await this.run(0)
    await Promise.race([database.opened.catch(() => undefined), dead.promise])
    return { name, database, incidents, statuses, faults }
  }

  /** Lets so much virtual time pass. */
  async run(ms = 1_000): Promise<void> {
    await this.world.run(this.world.now + ms)
  }

  /** Runs until it holds; fails when it does not within a minute. */
  async until(holds: () => boolean, ms = 60_000): Promise<void> {
    if ((await this.world.run(this.world.now + ms, holds)) !== 'met') throw new Error('it never came true')
  }

  /** Kills a replica's process without closing anything. */
  kill(name: string): void {
    for (const person of name === 'authority' ? this.#pairs.keys() : [name]) this.disconnect(person)
    this.device(name).crash()
  }
}

const bare = new WeakMap<SigningKey, SigningKey>()

const failing = <Key extends SigningKey | undefined>(key: Key, faults: Faults): Key => {
  if (key === undefined) return key
  const wrapped: SigningKey = {
    publicKey: key.publicKey,
    sign: async (message) => {
      await faults.sign?.(message)
      return key.sign(message)
    },
  }
  bare.set(wrapped, key)
  return wrapped as Key
}

/** Files on which a test makes things go wrong. `died` is told when their process does nothing any more. */
export const faulty = (files: Files, faults: Faults, died: () => void): Files => {
  let isDead = false
  const told = <Result>(what: string, call: () => Promise<Result>): Promise<Result> => {
    isDead ||= faults.operation?.(what) === false
    if (!isDead) return call()
    died()
    return new Promise<never>(() => undefined)
  }
  const wrap = (file: File): File => ({
    size: () => told('size', () => file.size()),
    read: (offset, length) => told('read', () => file.read(offset, length)),
    write: (offset, bytes) => told('write', () => file.write(offset, bytes)),
    truncate: (size) => told('truncate', () => file.truncate(size)),
    close: () => told('close', () => file.close()),
    sync: () =>
      told('sync', async () => {
        if (faults.hold !== undefined) await faults.hold
        if (faults.sync !== undefined) throw faults.sync()
        await file.sync()
      }),
  })
  return {
    open: async (name, create) => {
      const file = await told(`open ${name}`, () => files.open(name, create))
      return file === undefined ? undefined : wrap(file)
    },
    list: () => told('list', () => files.list()),
    rename: (from, to) => told(`rename ${to}`, () => files.rename(from, to)),
    remove: (name) => told(`remove ${name}`, () => files.remove(name)),
    syncNames: () => told('sync names', () => files.syncNames()),
    lock: () => files.lock(),
  }
}

/** A promise with its handle, for tests that decide when. */
export const gate = (): { readonly promise: Promise<void>; open(): void } => {
  let open = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open }
}

/** Whether it is settled, and how. */
export const outcomeOf = (promise: Promise<unknown>): { current: string } => {
  const outcome = { current: 'pending' }
  promise.then(
    () => {
      outcome.current = 'resolved'
    },
    (error: unknown) => {
      outcome.current = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    },
  )
  return outcome
}
