/**
 * One repository over one channel: gives the pure machine of `sync` what the store holds, and carries out what it asks for. Messages
 * wait while the channel is full, as effects and not as bytes.
 */

import { fromHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { PackContext } from '../commit/pack.ts'
import { PackReader } from '../commit/packreader.ts'
import { PackWriter } from '../commit/packwriter.ts'
import { fingerprint } from '../sync/fingerprint.ts'
import type { Held } from '../sync/held.ts'
import { decodeMessage, type Entries, encodeMessage, itemsPerMessage, prefixBytes } from '../sync/message.ts'
import type { Effect, Event, Known, Meeting, Session } from '../sync/session.ts'
import { start, step } from '../sync/step.ts'
import type { Certificates } from './certificates.ts'
import type { Runtime } from './ports.ts'
import type { Gate } from './quota.ts'
import type { Repository } from './repository.ts'

/** What a repository holds, as reconciliation sees it: only what is durable. */
export class HeldCommits implements Held {
  readonly #repository: Repository
  readonly #runtime: Runtime
  #fingerprint: Uint8Array | undefined
  #fingerprinted = -1
  readonly #digests = new Map<string, readonly [number, number]>()
  /** Hashes of whole blocks of ids, each over the one before. */
  readonly #blocks: Uint8Array[] = []

  constructor(repository: Repository, runtime: Runtime) {
    this.#repository = repository
    this.#runtime = runtime
  }

  get #commits() {
    return this.#repository.pipeline.commits
  }

  heads() {
    return this.#commits.heads()
  }

  headsOf(chain: string) {
    return this.#commits.headsOf(chain)
  }

  count(): number {
    return this.#commits.size
  }

  digest(chain: string): readonly [number, number] {
    let digest = this.#digests.get(chain)
    if (digest === undefined) {
      const view = new DataView(this.#runtime.hash(fromHex(chain)).slice(0, 8).buffer)
      digest = [view.getUint32(0, true), view.getUint32(4, true)]
      this.#digests.set(chain, digest)
    }
    return digest
  }

  /** Chains with commits that no checkpoint covers, or of which what is covered is not here. */
  moved(): number {
    const { log } = this.#repository.pipeline
    const moved = new Set(log.covered.keys())
    for (const { chain, id } of this.heads()) {
      if (log.covered.get(chain)?.id === id) moved.delete(chain)
      else moved.add(chain)
    }
    return moved.size
  }

  chainOf(id: string): string | undefined {
    return this.#commits.get(id)?.chain
  }

  prefixHash(place: number): Uint8Array | undefined {
    if (place > this.count()) return undefined
    const hash = (before: Uint8Array, from: number, to: number): Uint8Array => {
      const bytes = new Uint8Array(32 * (1 + to - from))
      bytes.set(before)
      for (let index = from; index < to; index++) {
        const commit = this.#commits.at(index)
        if (commit !== undefined) bytes.set(fromHex(commit.id), 32 * (1 + index - from))
      }
      return this.#runtime.hash(bytes)
    }
    const whole = Math.floor(place / blockIds)
    for (let block = this.#blocks.length; block < whole; block++)
      this.#blocks.push(hash(this.#blocks.at(-1) ?? noBlock, block * blockIds, (block + 1) * blockIds))
    return hash(this.#blocks[whole - 1] ?? noBlock, whole * blockIds, place).slice(0, prefixBytes)
  }

  has(id: string): boolean {
    return this.#commits.has(id)
  }

  previous(id: string): string | undefined {
    return this.#commits.get(id)?.prev ?? undefined
  }

  arrivalIndex(id: string): number {
    return this.#commits.indexOf(id)
  }

  arrival(from: number, limit: number): readonly string[] {
    const ids: string[] = []
    for (let index = from; ids.length < limit; index++) {
      const commit = this.#commits.at(index)
      if (commit === undefined) break
      ids.push(commit.id)
    }
    return ids
  }

  size(id: string): number {
    const commit = this.#commits.get(id)
    if (commit === undefined) return 0
    return commit.bytes.length + 8 + (commit.seq === 0 ? certificateRoom : 0)
  }

  fingerprint(): Uint8Array {
    const size = this.#commits.size
    if (this.#fingerprint === undefined || this.#fingerprinted !== size) {
      this.#fingerprint = fingerprint(this.heads(), (bytes) => this.#runtime.hash(bytes))
      this.#fingerprinted = size
    }
    return this.#fingerprint
  }

  get #durable() {
    const { log, durableEntries } = this.#repository.pipeline
    return { entries: log.entries, durableEntries }
  }

  logPosition() {
    const { entries, durableEntries } = this.#durable
    const last = entries[durableEntries - 1]
    return last === undefined ? undefined : { epoch: last.epoch, n: last.n, hash: last.id }
  }

  logHash(n: number): string | undefined {
    const { entries, durableEntries } = this.#durable
    const entry = n < durableEntries ? entries[n] : undefined
    return entry?.id
  }

  entriesFrom(n: number): readonly Uint8Array[] {
    const { entries, durableEntries } = this.#durable
    return entries.slice(n, durableEntries).map((entry) => entry.bytes)
  }
}

/** Ids hashed at once for the hash of a prefix. */
const blockIds = 1_024
const noBlock = new Uint8Array(32)

/** Bytes a certificate takes in a message, at most. */
const certificateRoom = 1_024

export interface ReconcilerLink {
  send(message: Plain): void
  /** Whether the channel takes more at the moment. */
  ready(): boolean
  offence(why: Refusal): void
  /** What the peer's commits pass before they are verified; undefined where nobody counts. */
  readonly gate: Gate | undefined
  /** Takes room for bytes that wait; false when there is none. */
  queue(bytes: number): boolean
  dequeue(bytes: number): void
  /** There is no going on with this channel. */
  hangUp(why: Refusal): void
  /** The peer could not keep what this replica sent. */
  refused(why: Refusal, ids: readonly string[]): void
  level(): void
  /** To be remembered of the peer's store. */
  known(known: Known): void
}

export class Reconciler {
  readonly repository: Repository
  readonly #held: HeldCommits
  readonly #runtime: Runtime
  readonly #certificates: Certificates
  readonly #link: ReconcilerLink
  /** Sessions whose certificate this peer was sent. */
  readonly #introduced = new Set<string>()
  readonly #outbox: Effect[] = []
  readonly #packs: PackContext & { readonly sends: boolean; readonly receives: boolean }
  readonly #writer: PackWriter
  #reader: PackReader
  #session: Session
  #receiving: Promise<void> = Promise.resolve()
  #cancelWake: (() => void) | undefined
  #closed = false
  isLevel = false

  constructor(options: {
    repository: Repository
    held: HeldCommits
    runtime: Runtime
    certificates: Certificates
    leads: boolean
    /** 16 bytes, the same on both sides of the channel and nowhere else. */
    salt: Uint8Array
    /** Filters alone. */
    base: boolean
    /** The network, hex, and the tags under which either side names the repository. */
    packs: { readonly network: string; readonly mine: number; readonly theirs: number }
    link: ReconcilerLink
  }) {
    this.repository = options.repository
    this.#held = options.held
    this.#runtime = options.runtime
    this.#certificates = options.certificates
    this.#link = options.link
    this.#session = start(options.leads, options.salt, options.base)
    const { network, mine, theirs } = options.packs
    this.#packs = {
      network,
      repository: options.repository.path,
      sends: mine < tabledTags,
      receives: theirs < tabledTags,
    }
    this.#writer = new PackWriter(this.#packs)
    this.#reader = this.#newReader()
  }

  open(meeting: Meeting): void {
    this.#take({ kind: 'open', ...meeting })
  }

  message(plain: Plain): void {
    const message = decodeMessage(plain)
    if (isRefusal(message)) return this.#link.offence(message)
    if (message.kind !== 'packed') return this.#take({ kind: 'message', message })
    if (!this.#packs.receives) this.#reader = this.#newReader()
    const records = this.#reader.unpack(message.pack)
    // Nothing that comes after it could be read.
    if (isRefusal(records)) return this.#link.hangUp(records)
    const { pack: _, ...push } = message
    this.#take({ kind: 'message', message: { ...push, kind: 'push', commits: records.map(({ bytes }) => bytes) } })
  }

  #newReader(): PackReader {
    const hash = (bytes: Uint8Array): Uint8Array => this.#runtime.hash(bytes)
    return new PackReader(this.#packs, hash, { commits: itemsPerMessage, bytes: limits.frameBytes })
  }

  admitted(ids: readonly string[], origin: 'local' | 'peer' | 'other'): void {
    this.#take({ kind: 'admitted', ids, origin })
  }

  entries(): void {
    this.#take({ kind: 'entries' })
  }

  refused(why: Refusal, ids: readonly string[]): void {
    this.#take({ kind: 'refused', code: why.code, ids })
  }

  drain(): void {
    this.#flush()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cancelWake?.()
    this.#outbox.length = 0
    this.#session = step(this.#session, { kind: 'close' }, this.#held, this.#surroundings).session
  }

  get #surroundings() {
    return {
      now: this.#runtime.elapsed(),
      random: (length: number) => this.#runtime.random(length),
      hash: (bytes: Uint8Array) => this.#runtime.hash(bytes),
    }
  }

  #take(event: Event): void {
    if (this.#closed) return
    const { session, effects } = step(this.#session, event, this.#held, this.#surroundings)
    this.#session = session
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'send':
      case 'push':
        if (this.#outbox.length >= limits.unsentMessages)
          return this.#link.hangUp(refusal('TooMany', 'messages unsent'))
        this.#outbox.push(effect)
        this.#flush()
        break
      case 'admit':
        this.#receive(effect.commits, effect.certificates, [])
        break
      case 'deliver':
        this.#receive([], [], effect.entries)
        break
      case 'wake':
        this.#cancelWake?.()
        this.#cancelWake = this.#runtime.timer(effect.after, () => this.#take({ kind: 'wake' }))
        break
      case 'level':
        this.isLevel = true
        this.#link.level()
        break
      case 'known':
        this.#link.known(effect.known)
        break
      case 'refused':
        this.#link.refused(refusal(effect.code), effect.ids)
        break
      case 'offence':
        // Whether the authority forked its log is for the signature to say: the pipeline judges the entry that came.
        if (effect.code === 'LogForked') this.#receive([], [], effect.evidence?.slice(1) ?? [])
        else this.#link.offence(refusal(effect.code, effect.about))
        break
      case 'rest':
        this.isLevel = false
    }
  }

  #receive(commits: readonly Uint8Array[], certificates: readonly Uint8Array[], entries: readonly Uint8Array[]): void {
    const bytes = [...commits, ...certificates, ...entries].reduce((sum, one) => sum + one.length, 0)
    const fits = this.#link.queue(bytes)
    // Certificates are sent once, and few: they are taken all the same.
    const kept = fits ? commits : []
    // One after the other, so that what this channel brings is admitted in its order.
    this.#receiving = this.#receiving.then(() => {
      if (this.#closed) return undefined
      return new Promise<void>((onRoad) => {
        const stored = this.repository.pipeline.receive(
          this,
          { commits: kept, certificates, entries },
          onRoad,
          this.#link.gate,
        )
        const told = stored.then((outcome) => {
          if (fits) this.#link.dequeue(bytes)
          else this.#take({ kind: 'refused', code: 'TooMany', ids: [] })
          if (commits.length > 0 || certificates.length > 0) this.#take({ kind: 'settled', ...outcome })
        })
        told.catch((error: unknown) => {
          this.#link.hangUp(refusal('Fault', String(error)))
          onRoad()
        })
      })
    })
  }

  #flush(): void {
    while (this.#outbox.length > 0 && this.#link.ready()) {
      const effect = this.#outbox.shift()
      if (effect?.kind === 'send') {
        if (effect.message.kind === 'entries') this.#introduceMembers(effect.message)
        this.#link.send(encodeMessage(effect.message))
      } else if (effect?.kind === 'push') this.#push(effect)
    }
  }

  /** Who was given a role has a name to the others before writing anything: the certificates go ahead of the entries. */
  #introduceMembers({ from, entries }: Entries): void {
    let certificates: Uint8Array[] = []
    let bytes = 0
    const send = (): void => {
      if (certificates.length === 0) return
      this.#link.send(encodeMessage({ kind: 'push', round: 0, last: false, unknown: [], commits: [], certificates }))
      certificates = []
      bytes = 0
    }
    for (const { statement } of this.repository.pipeline.log.entries.slice(from, from + entries.length)) {
      const certificate = statement.kind === 'grant' ? this.#certificates.ofOwner(statement.owner) : undefined
      if (certificate === undefined || this.#introduced.has(certificate.session)) continue
      if (bytes + certificate.bytes.length + 8 > pushBytes) send()
      bytes += certificate.bytes.length + 8
      this.#introduced.add(certificate.session)
      certificates.push(certificate.bytes)
    }
    send()
  }

  /** The commits of one effect, with the certificates this peer lacks: one message, or more where certificates make it too long. */
  #push({ round, ids, last, unknown }: Extract<Effect, { kind: 'push' }>): void {
    let commits: Commit[] = []
    let certificates: Uint8Array[] = []
    let bytes = 0
    const send = (rest: { readonly last: boolean; readonly unknown: readonly number[] }): void => {
      if (this.#session.speaks && commits.length > 0) {
        if (!this.#packs.sends) this.#writer.reset()
        const pack = this.#writer.pack(commits)
        this.#link.send(encodeMessage({ kind: 'packed', round, ...rest, pack, certificates }))
      } else {
        const records = commits.map((commit) => commit.bytes)
        this.#link.send(encodeMessage({ kind: 'push', round, ...rest, commits: records, certificates }))
      }
      commits = []
      certificates = []
      bytes = 0
    }
    for (const id of ids) {
      const commit = this.repository.pipeline.commits.get(id)
      if (commit === undefined) continue
      const certificate = this.#certificates.get(commit.session)
      const introduces = certificate !== undefined && !this.#introduced.has(commit.session)
      const size = commit.bytes.length + 8 + (introduces ? certificate.bytes.length + 8 : 0)
      if (commits.length > 0 && bytes + size > pushBytes) send({ last: false, unknown: [] })
      bytes += size
      if (introduces) {
        this.#introduced.add(commit.session)
        certificates.push(certificate.bytes)
      }
      commits.push(commit)
    }
    send({ last, unknown })
  }
}

/** Repositories of a channel whose packs build on those before them, since that takes memory; packs of others stand alone. */
const tabledTags = 64
/** What fits a frame beside its own fields. */
const pushBytes = limits.frameBytes - 65_536

/** Refusals that an honest peer never causes; three within a minute close the channel. */
export const isOffence = (why: Refusal): boolean => offences.has(why.code)

const offences = new Set<Refusal['code']>([
  'TooLarge',
  'TooDeep',
  'TooMany',
  'NotCanonical',
  'Malformed',
  'UnknownMessage',
  'WrongNetwork',
  'WrongRepository',
  'BadHash',
  'BadSignature',
  'BrokenChain',
  'BadParents',
  'ClockNotLater',
  'PolicyBack',
  'BadCertificate',
  'BadEntry',
  'BadProof',
])

export const offenceWindow = 60_000
export const mostOffences = limits.offences
