/**
 * What must hold in every world, whatever happens in it (numbers as in RELIABILITY.md 4.3):
 *
 * After every event:
 *    2  what a replica acknowledged is stored on its disk; what the authority acknowledged is stored there under a stored checkpoint
 *    3  a commit that became durable has the id and the changes its bytes say, its signature, and everything it builds on before it;
 *       its chain has no gap and its clock is later; the same for the authority's entries
 *    4  pools are within their limits
 *    5  an edit is seen where it was made until it stands in a commit, and what was once read is not unread
 *    8  no rejection is unhandled (the world itself looks)
 *    -  a commit or an entry leaves a node only when it is stored there; the authority never shows two entries for one place; no two
 *       filters have one salt
 * Every 64th event, and at every boot after a crash: 2 again, on what a crash would leave, for all that was ever durable.
 *
 * When everything is healed, within `calmLimit`, and again after all have been killed and started, within `restartLimit`:
 *    9  all replicas hold the same commits and entries and show the same values, which are those of the oracle
 *   10  everything acknowledged is everywhere; every promise of a running process is kept, or refused with a reason
 *   11  in the next minute nothing travels but beats, and nothing is written
 *   13  the whole history delivered again changes nothing
 *   14  opening a log twice gives the same bytes, and leaves no torn tail (looked at after every boot, too)
 */
import { type Commit, isRefusal, limits, liveOf } from '@weft-db/engine'
import { decode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { sessionId, signedBytes } from '../../packages/engine/src/commit/commit.ts'
import { isRun } from '../../packages/engine/src/commit/run.ts'
import { scan } from '../../packages/engine/src/log/frame.ts'
import { decodeAnnouncement } from '../../packages/engine/src/mesh/announcement.ts'
import { decodePresence } from '../../packages/engine/src/mesh/presence.ts'
import { hits } from '../../packages/engine/src/sync/filter.ts'
import { decodeMessage, type FilterMessage, type Message } from '../../packages/engine/src/sync/message.ts'
import type { Coverage } from './coverage.ts'
import type { Disk } from './files.ts'
import { PackTap } from './packtap.ts'
import { judge, readStoredEntry, Shelf, sha256 } from './shelf.ts'
import type { Stage } from './stage.ts'
import { boardLog } from './worlds/card.ts'
import type { Ledger } from './worlds/ledger.ts'
import type { Player } from './worlds/player.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Frames of a channel, by number. */
const frameKinds = { refused: 4, beat: 5, sync: 7 }
/** seek, members, neighbours, carry, signal */
const aboutMesh: ReadonlySet<unknown> = new Set([14, 15, 16, 17, 18])

interface Looked {
  run: number
  commits: number
  entries: number
  /** Marks that were read, by item. */
  readonly read: Map<string, Set<string>>
  /** Items whose drafts were dirty after the event before. */
  dirty: boolean
}

export class Invariants {
  readonly #stage: Stage
  readonly #players: ReadonlyMap<string, Player>
  readonly #ledger: Ledger
  readonly #coverage: Coverage
  readonly #shelves = new Map<string, Shelf>()
  readonly #looked = new Map<string, Looked>()
  /** Commits that were ever durable on a node. */
  readonly #durable = new Map<string, Map<string, Commit>>()
  /** The authority's entries by place, whoever showed them. */
  readonly #entries = new Map<number, string>()
  readonly #salts = new Set<string>()
  readonly #sessionKeys = new Map<string, Uint8Array>()
  /** While nothing but beats may travel. */
  idle = false
  #offence: string | undefined

  constructor(stage: Stage, players: ReadonlyMap<string, Player>, ledger: Ledger, coverage: Coverage) {
    this.#stage = stage
    this.#players = players
    this.#ledger = ledger
    this.#coverage = coverage
    for (const [name, device] of stage.devices) this.#shelves.set(name, new Shelf(device.disk, boardLog))
  }

  /** Remembers the first law that was broken where nothing can be thrown. */
  broken(what: string): void {
    this.#offence ??= what
  }

  #shelf(name: string): Shelf {
    const shelf = this.#shelves.get(name)
    if (shelf === undefined) throw new Error(`no node ${name}`)
    return shelf
  }

  #durableOf(name: string): Map<string, Commit> {
    const known = this.#durable.get(name) ?? new Map<string, Commit>()
    this.#durable.set(name, known)
    return known
  }

  // What travels.

  /** A message leaves an honest node. */
  sent(from: string, to: string, message: Uint8Array, end: object): void {
    const commits = this.#tap.see(end, message)
    const why = this.#wrongIn(from, to, message) ?? (commits && this.#wrongInPush(from, commits))
    if (why !== undefined) this.broken(`${from} sent ${to} ${why}`)
  }

  #wrongIn(from: string, to: string, message: Uint8Array): string | undefined {
    const frame = decode(message)
    if (isRefusal(frame) || !Array.isArray(frame)) return 'what nobody can read'
    const [, kind, , body] = frame as readonly Plain[]
    // Whoever cannot be reached is tried again, ever more seldom.
    if (this.idle && kind !== frameKinds.beat && !aboutMesh.has(kind)) {
      const about = Array.isArray(body) ? `, sync message ${String(body[0])}` : ''
      return `more than a beat: frame ${String(kind)}${about}`
    }
    if (kind === frameKinds.refused) this.#coverage.saw('an offence told to the peer')
    if (kind !== frameKinds.sync || body === undefined) return undefined
    if (from !== 'server' && to !== 'server') this.#coverage.saw('direct channel used')
    if (decodeAnnouncement(body) !== undefined) this.#coverage.saw('gossip told of a commit')
    if (decodeAnnouncement(body) !== undefined || decodePresence(body) !== undefined) return undefined
    const read = decodeMessage(body)
    if (!('kind' in read)) return `a sync message that is ${read.code}`
    if (read.kind === 'packed') return undefined
    this.#sketched(from, to, read)
    if (read.kind === 'push') return this.#wrongInPush(from, read.commits)
    if (read.kind === 'entries') return this.#wrongInEntries(from, read.entries)
    if (read.kind === 'filter') return this.#wrongInFilter(from, to, read)
    if (read.kind === 'rest') this.#coverage.saw('rest without progress')
    return undefined
  }

  readonly #tap = new PackTap()
  /** Directions in which a hello went out with a cursor. */
  readonly #cursors = new Set<string>()

  #sketched(from: string, to: string, read: Message): void {
    if (read.kind === 'hello' && read.sketch !== undefined) {
      const isCursor = 'place' in read.sketch
      if (!isCursor && read.sketch.length === 0) return
      this.#coverage.saw(isCursor ? 'cursor in a hello' : 'sums in a hello')
      if (isCursor) this.#cursors.add(`${from} ${to}`)
      else this.#cursors.delete(`${from} ${to}`)
    }
    if (read.kind === 'moved')
      this.#coverage.saw(this.#cursors.delete(`${to} ${from}`) ? 'cursor accepted' : 'sketch settled')
    if (read.kind === 'sums') this.#coverage.saw('more sums')
  }

  #wrongInPush(from: string, commits: readonly Uint8Array[]): string | undefined {
    for (const bytes of commits) {
      const found = judge(bytes)
      if (found === undefined || !found.honest) return 'a commit that is none'
      if (!this.#shelf(from).has(found.id)) return `commit ${found.id} before it was stored`
    }
    return undefined
  }

  #wrongInEntries(from: string, entries: readonly Uint8Array[]): string | undefined {
    for (const bytes of entries) {
      const entry = readStoredEntry(bytes)
      if (entry === undefined) return 'an entry that is none'
      if (!this.#shelf(from).hasEntry(entry.id)) return `entry ${entry.n} before it was stored`
      this.#place(entry.n, entry.id)
    }
    return undefined
  }

  #wrongInFilter(from: string, to: string, { round, filter }: FilterMessage): string | undefined {
    if (round > 1) this.#coverage.saw('second round of a reconciliation')
    if (filter.bits.length === 0) this.#coverage.saw('exact filter')
    const salt = hex(filter.salt)
    if (this.#salts.has(salt)) return `a filter with the salt ${salt} of an older one`
    this.#salts.add(salt)
    this.#falseHits(from, to, filter)
    return undefined
  }

  #falseHits(from: string, to: string, filter: Parameters<typeof hits>[0]): void {
    const sender = this.#players.get(from)?.board
    const other = this.#players.get(to)?.board
    if (sender === undefined || other === undefined) return
    for (const { id } of other.pipeline.commits.heads()) {
      if (!sender.pipeline.commits.has(id) && hits(filter, id, sha256)) this.#coverage.saw('Bloom false positive')
    }
  }

  #place(n: number, id: string): void {
    const known = this.#entries.get(n)
    if (known === undefined) this.#entries.set(n, id)
    else if (known !== id) this.broken(`the authority wrote two entries at place ${n}`)
  }

  // After an event.

  afterEvent(): void {
    this.#ledger.note()
    for (const { node, level, ids } of this.#ledger.fresh.splice(0)) {
      for (const id of ids) {
        if (!this.#shelf(node).has(id) && level === 'local')
          throw new Error(`acked lost: ${node} acknowledged ${id} unstored`)
        if (level === 'local') continue
        const server = this.#shelf('server')
        if (!server.has(id)) throw new Error(`acked lost: the authority acknowledged ${id} to ${node} unstored`)
        if (!server.covers(id))
          throw new Error(`acked lost: no stored checkpoint covers ${id}, acknowledged to ${node}`)
      }
    }
    for (const player of this.#players.values()) this.#look(player)
    const lost = this.#ledger.lostMark()
    if (lost !== undefined) throw new Error(`an edit is gone: ${lost}`)
    if (this.#offence !== undefined) throw new Error(this.#offence)
  }

  #look(player: Player): void {
    const { board, database } = player
    if (board === undefined || database === undefined || !board.pipeline.isOpen) return
    const { pipeline, counting } = board
    let looked = this.#looked.get(player.name)
    if (looked === undefined || looked.run !== player.run) {
      looked = { run: player.run, commits: 0, entries: 0, read: new Map(), dirty: false }
      this.#looked.set(player.name, looked)
      this.#mustBeCut(player.name)
    }
    if (pipeline.commits.size < looked.commits) throw new Error(`${player.name} holds fewer commits than before`)
    const grew = pipeline.commits.size > looked.commits
    const durable = this.#durableOf(player.name)
    for (; looked.commits < pipeline.commits.size; looked.commits++) {
      const commit = pipeline.commits.at(looked.commits)
      if (commit === undefined) throw new Error(`${player.name} has no commit at ${looked.commits}`)
      if (!durable.has(commit.id) || looked.run > 1) this.#judgeCommit(player, commit, looked.commits)
      durable.set(commit.id, commit)
    }
    for (; looked.entries < pipeline.durableEntries; looked.entries++) {
      const entry = pipeline.log.entries[looked.entries]
      if (entry === undefined) throw new Error(`${player.name} has no entry at ${looked.entries}`)
      if (!this.#shelf(player.name).hasEntry(entry.id))
        throw new Error(`${player.name} holds entry ${entry.n} unstored`)
      this.#place(entry.n, entry.id)
      this.#judgeEntry(player, looked.entries)
      if (player.isAuthority && this.#storageFailed) {
        this.#storageFailed = false
        this.#coverage.saw('checkpoint after a storage failure')
      }
    }
    if (pipeline.pending.commits > limits.pendingCommits || pipeline.pending.bytes > limits.pendingBytes) {
      throw new Error(`${player.name} keeps ${pipeline.pending.commits} commits that wait for parents`)
    }
    if (counting.waiting.size > limits.heldChanges)
      throw new Error(`${player.name} holds ${counting.waiting.size} changes`)
    if (pipeline.pending.commits > 0) this.#coverage.saw('orphan pool used')
    const { logged, size } = pipeline.commits
    if (logged > 0) this.#coverage.saw('opened by a snapshot')
    for (const { shelf } of logged > 0 ? counting.items.values() : [])
      if ((shelf?.size ?? 0) > 0) this.#coverage.saw('items of a snapshot')
    if (logged > 0 && size > logged) this.#coverage.saw('commits behind a snapshot')
    if (pipeline.pending.commits > pipeline.pending.runs) this.#coverage.saw('a run waited for parents')
    if (player.isAuthority && board.problem !== undefined) {
      if (!this.#storageFailed) this.#coverage.saw('storing failed at the authority')
      this.#storageFailed = true
    }
    if (grew)
      for (const { why } of counting.waiting.values())
        if (why.code === 'ClockAhead') this.#coverage.saw('clock ahead holds a change')
    this.#read(player, looked, grew)
  }

  /** An open log has no torn tail, unless the disk did not let it be cut: then it waits for the next append. */
  #mustBeCut(name: string): void {
    const { faults } = this.#stage.device(name).disk
    const { writeError, syncError, nameError, readError, capacity } = faults
    if (writeError + syncError + nameError + readError > 0 || capacity !== null) return
    const bytes = this.#stage.device(name).disk.storedFile(boardLog)
    if (bytes !== undefined && scan(bytes).torn) throw new Error(`${name} opened its log and left a torn tail`)
  }

  #storageFailed = false

  /** Reads what the app reads. */
  #read(player: Player, looked: Looked, grew: boolean): void {
    let dirty = false
    // What only a clock was ahead of is void, and comes again from its author.
    const rewritten = player.board?.pipeline.log.entries.some(({ statement }) => statement.kind === 'verdict') === true
    for (const [key, item] of player.items) {
      const live = liveOf(item)
      if (!live.draft.isEmpty) dirty = true
      if (!grew) continue
      const heads = live.merged.heads.length
      if (heads > 1) this.#coverage.saw('more than one head')
      if (heads > limits.parents) this.#coverage.saw('more than 16 heads')
      const votes = live.state.fields.get('votes')
      const now = new Set<string>()
      if (votes?.kind === 'entries') for (const vote of votes.byKey.keys()) if (vote.startsWith('e')) now.add(vote)
      for (const vote of looked.read.get(key) ?? []) {
        if (!now.has(vote) && !rewritten) throw new Error(`${player.name} read ${vote} of ${key} and reads it no more`)
      }
      looked.read.set(key, now)
    }
    if (grew && dirty && looked.dirty) this.#coverage.saw('remote commit under a dirty draft')
    looked.dirty = dirty
  }

  #judgeCommit(player: Player, commit: Commit, place: number): void {
    const bad = (what: string): never => {
      throw new Error(`${player.name} admitted ${commit.id}: ${what}`)
    }
    const found = judge(commit.bytes)
    if (found === undefined || found.id !== commit.id || !found.honest) bad('its bytes say otherwise')
    const commits = this.#players.get(player.name)?.board?.pipeline.commits
    if (commits === undefined) return
    const earlier = (id: string): Commit => {
      const index = commits.indexOf(id)
      const parent = commits.at(index)
      if (parent === undefined || index >= place) return bad(`${id} is not before it`)
      return parent
    }
    if (commit.prev === null ? commit.seq !== 0 : earlier(commit.prev).seq + 1 !== commit.seq) bad('a gap in its chain')
    const before = commit.changes.flatMap((change) => change.parents.map(earlier))
    if (commit.prev !== null) {
      const prev = earlier(commit.prev)
      if (prev.chain !== commit.chain) bad('it follows another chain')
      before.push(prev)
    }
    for (const one of before) {
      if (one.clock >= commit.clock) bad(`its clock is not later than that of ${one.id}`)
      if (before.length > 0 && (one.policy.authority?.n ?? -1) > (commit.policy.authority?.n ?? -1))
        bad('its policy goes back')
    }
    this.#judgeSignature(player, commit, bad)
    const tied = this.#clocks.get(commit.clock)
    if (tied !== undefined && tied.id !== commit.id) {
      if (tied.changes.some((change) => commit.changes.some((other) => other.key === change.key))) {
        this.#coverage.saw('equal clocks at one item')
      }
    } else this.#clocks.set(commit.clock, commit)
  }

  readonly #clocks = new Map<number, Commit>()
  readonly #verified = new Set<string>()

  #judgeSignature(player: Player, commit: Commit, bad: (what: string) => never): void {
    const certificate = player.database?.certificates.get(commit.session)
    if (certificate !== undefined) {
      if (sessionId(certificate.publicKey, certificate.owner, sha256) !== commit.session)
        bad('a certificate of another session')
      this.#sessionKeys.set(commit.session, certificate.publicKey)
    }
    const run = player.board?.pipeline.commits.runFrom(commit.id) ?? []
    if (!isRun(run)) bad('nobody vouches for it')
    if (run.length > 1) this.#coverage.saw('a run of commits admitted')
    const { id, signature } = run.at(-1) ?? commit
    const name = `${id}${hex(signature)}`
    const key = this.#sessionKeys.get(commit.session)
    // Its author may admit a commit before the first certificate comes; whoever admits it next has one.
    if (key === undefined || this.#verified.has(name)) return
    if (!this.#stage.signatures.verify(key, signedBytes(id), signature)) bad('nobody signed it')
    this.#verified.add(name)
  }

  #judgeEntry(player: Player, index: number): void {
    const log = player.board?.pipeline.log
    const [entry, prev] = [log?.entries[index], log?.entries[index - 1]]
    if (entry === undefined) return
    if (entry.n !== index || entry.prev !== (prev?.id ?? null))
      throw new Error(`${player.name}: entry ${index} follows nothing`)
    if (entry.id !== hex(sha256(entry.body))) throw new Error(`${player.name}: entry ${index} is not what its id says`)
    if (player.isAuthority && entry.statement.kind === 'checkpoint') {
      for (const { id } of entry.statement.moved) {
        if (!this.#shelf('server').has(id)) throw new Error(`a checkpoint covers ${id}, which is not stored`)
      }
    }
    const key = player.database?.root.key(entry.signer)
    const body = this.#entryMessage(entry.body)
    if (key === undefined || !this.#stage.signatures.verify(key, body, entry.signature)) {
      throw new Error(`${player.name}: nobody signed entry ${index}`)
    }
  }

  #entryMessage(body: Uint8Array): Uint8Array {
    return Buffer.concat([Buffer.from('weft/entry/1\0'), sha256(body)])
  }

  // What a crash leaves.

  /** A process begins on a disk: after a crash, or the first. */
  booted(player: Player): void {
    const shelf = this.#shelf(player.name)
    shelf.reset()
    this.#mustHold(player.name, shelf.refresh(), 'at boot')
  }

  /** What would be left if the power failed now. */
  afterCrash(): void {
    for (const [name, device] of this.#stage.devices) {
      const clone: Disk = device.disk.clone()
      clone.crash()
      this.#mustHold(name, new Shelf(clone, boardLog).refresh(), 'after a crash now')
    }
  }

  #mustHold(name: string, shelf: Shelf, when: string): void {
    const missing = (id: string, what: string): void => {
      if (!shelf.commits.has(id)) this.broken(`acked lost: ${name} has lost ${id}, ${what}, ${when}`)
    }
    for (const id of this.#durableOf(name).keys()) missing(id, 'which was durable')
    for (const id of this.#ledger.local.get(name) ?? []) missing(id, 'which it acknowledged')
    if (name !== 'server') return
    for (const id of this.#ledger.authority) {
      missing(id, 'which the authority acknowledged')
      if (!shelf.covers(id)) this.broken(`acked lost: the checkpoint that covers ${id} is lost ${when}`)
    }
  }
}
