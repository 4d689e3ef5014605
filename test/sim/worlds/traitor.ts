/**
 * Somebody with a valid key and certificate who breaks every rule that the format lets them break: commits made by the engine's own
 * functions and properly signed, with what their role forbids, old policies, old parents, forks; and, on the way out, commits kept from
 * some peers, other branches for other peers, and what nobody signed.
 */
import { type Commit, isRefusal, readCommit } from '@weft-db/engine'
import { toHex } from '../../../packages/engine/src/bytes/bytes.ts'
import { decode, encode, type Plain } from '../../../packages/engine/src/bytes/cbor.ts'
import {
  composeCommit,
  type Draft,
  type Policy,
  type Position,
  sealCommit,
  signedBytes,
  type UnsignedCommit,
} from '../../../packages/engine/src/commit/commit.ts'
import type { Operation } from '../../../packages/engine/src/commit/operation.ts'
import type { Repository } from '../../../packages/engine/src/replica/repository.ts'
import { commitsOf } from '../agreement.ts'
import type { Coverage } from '../coverage.ts'
import { PackTap } from '../packtap.ts'
import type { Stream } from '../random.ts'
import { sha256 } from '../shelf.ts'
import { boardPath, Card } from './card.ts'
import { ballotOf } from './charter.ts'
import type { Citizen } from './citizen.ts'
import type { Trick } from './trick.ts'

const cardHash = toHex(sha256(Card.definition))
const clockTicks = 256
const syncFrame = 7
const messages = { entries: 1, push: 5 }

const isBytes = (plain: Plain | undefined): plain is Uint8Array => plain instanceof Uint8Array
const isList = (plain: Plain | undefined): plain is readonly Plain[] => Array.isArray(plain)

/** Points that only owners may give: a traitor who never was one gives these. */
export const stolenPoints = -600

export class Traitor {
  readonly citizen: Citizen
  readonly #coverage: Coverage
  /** Commit to the peers that are not to get it. */
  readonly #withheld = new Map<string, (to: string) => boolean>()
  /** Bytes that go out with the next push, whatever they are. */
  readonly #raw: Uint8Array[] = []
  #keepsEntries = false
  readonly #tap = new PackTap()
  active = true

  constructor(citizen: Citizen, coverage: Coverage) {
    this.citizen = citizen
    this.#coverage = coverage
  }

  /** Does one thing it should not. */
  async act(trick: Trick, stream: Stream): Promise<void> {
    const { board, database } = this.citizen
    const person = database?.person
    if (!this.active || board === undefined || database === undefined || person === undefined) return
    if (!board.pipeline.isOpen || database.root.position === null) return
    if (trick === 'withhold') return this.#withhold(board, stream)
    const made = await this.#make(trick, board, stream)
    if (made.length === 0) return
    this.#coverage.saw(`traitor: ${trick}`)
    if (trick === 'forge' || trick === 'replay elsewhere' || trick === 'policy back') {
      this.#raw.push(...made.map(({ bytes }) => bytes))
      return
    }
    if (trick === 'equivocate') {
      const parties = made.length
      for (const [index, { id }] of made.entries())
        this.#withheld.set(id, (to) => (to.charCodeAt(0) + to.length) % parties !== index % parties)
    }
    await board.pipeline.receive({}, { certificates: [], commits: made.map(({ bytes }) => bytes), entries: [] })
  }

  #withhold(board: Repository, stream: Stream): void {
    this.#coverage.saw('traitor: withhold')
    const all = commitsOf(board)
    if (all.length > 0) {
      const { id } = stream.pick(all)
      const shy = stream.chance(0.5)
      this.#withheld.set(id, (to) => shy || to === 'server')
    }
    this.#keepsEntries = stream.chance(0.5)
  }

  #operations(stream: Stream, trick: Trick, parents: readonly Commit[], key: string): Operation[] {
    const { owner } = this.citizen
    const text = (): Operation => ({ kind: 'splice', field: 'notes', at: 0, remove: 0, length: 4, insert: 'evil' })
    if (trick === 'honest')
      return [
        stream.chance(0.5)
          ? { kind: 'put', field: 'votes', entry: [ballotOf(owner), stream.int(9)] }
          : { kind: 'assign', field: 'done', value: stream.chance(0.5) },
      ]
    const tags = parents.flatMap(({ id, changes }) =>
      changes
        .filter((change) => change.key === key)
        .flatMap(({ operations }) =>
          operations.flatMap((one, at) =>
            one.kind === 'add' || one.kind === 'put' ? [[one.kind, `${id}:${at}`] as const] : [],
          ),
        ),
    )
    const drawn = stream.int(12)
    const tag = tags.length > 0 ? stream.pick(tags) : undefined
    if (drawn < 3) return [text()]
    if (drawn === 3)
      return [{ kind: 'assign', field: 'title', value: stream.pick(['evil', 'closed by evil', '¡evil']) }]
    if (drawn < 6) return [{ kind: 'assign', field: 'points', value: stolenPoints - stream.int(50) }]
    if (drawn === 6) return [{ kind: 'put', field: 'votes', entry: ['v:stolen', 1] }]
    if (drawn === 7) return [{ kind: 'delete' }]
    if (drawn === 8 && tag !== undefined)
      return [
        tag[0] === 'add'
          ? { kind: 'remove', field: 'tags', tags: [tag[1]] }
          : { kind: 'drop', field: 'votes', tags: [tag[1]] },
      ]
    if (drawn === 9) return [{ kind: 'splice', field: 'notes', at: 1_000_000, remove: 3, length: 1, insert: '!' }]
    if (drawn === 10) return [{ kind: 'add', field: 'tags', value: 'evil' }, text()]
    return [{ kind: 'assign', field: 'due', value: 1_700_000_000_000 }]
  }

  async #make(trick: Trick, board: Repository, stream: Stream): Promise<Commit[]> {
    const { database, key: signing } = this.citizen
    const person = database?.person
    const { network } = database?.root ?? {}
    if (database === undefined || person === undefined || signing === undefined || network === undefined) return []
    const all = commitsOf(board)
    const own = all.filter(({ session }) => session === person.session)
    const keys = ['item0', 'item1', 'item2']
    // Somebody else's change, to be made again in one's own name.
    const foreign = all.filter(({ session, changes }) => session !== person.session && changes[0]?.operations.length)
    const copied = trick === 'copy' && foreign.length > 0 ? stream.pick(foreign).changes[0] : undefined
    const items = copied === undefined ? stream.shuffle(keys).slice(0, trick === 'mixed' ? 2 : 1) : [copied.key]
    const dated = trick === 'back-date' || trick === 'old policy' || trick === 'policy back'
    const chains = [...new Set(own.map(({ incarnation }) => incarnation))]
    const opens = dated || chains.length === 0 || stream.chance(0.2)
    const incarnation = opens ? toHex(stream.bytes(8)) : stream.pick(chains)
    const links = own.filter((one) => one.incarnation === incarnation)
    const tips = links.filter(({ id }) => !links.some(({ prev }) => prev === id))
    const branches = trick === 'equivocate' ? stream.pick([2, 2, 3, 6]) : 1
    const prev = opens ? undefined : trick === 'equivocate' ? stream.pick(links) : stream.pick(tips)
    const made: Commit[] = []
    for (let branch = 0; branch < branches; branch++) {
      const before: Commit[] = prev === undefined ? [] : [prev]
      const drafts = items.map((item, index): Draft => {
        const parents = this.#parents(trick, all, item, stream)
        before.push(...parents)
        const kind = trick === 'mixed' && index === 0 ? 'honest' : trick
        return {
          key: item,
          parents: parents.map(({ id }) => id).sort(),
          schema: { name: Card.name, version: Card.version, hash: cardHash },
          operations: copied?.operations ?? this.#operations(stream, kind, parents, item),
          salt: stream.bytes(12),
        }
      })
      const least = Math.max(0, ...before.map(({ clock }) => clock + 1))
      const now = Math.floor(database.clock.now()) * clockTicks
      const ahead = trick === 'ahead' ? stream.pick([400_000, 3_600_000]) * clockTicks : 0
      const header = {
        network,
        repository: trick === 'replay elsewhere' ? '/board/two' : boardPath,
        session: person.session,
        incarnation,
        seq: prev === undefined ? 0 : prev.seq + 1,
        prev: prev?.id ?? null,
        clock: Math.max(least, dated ? least : now + ahead),
        policy: this.#policy(trick, board, before, stream),
        atomic: trick === 'mixed' && stream.chance(0.7),
        extended: false,
      }
      let unsigned = composeCommit(header, drafts, sha256)
      if (trick === 'mine') unsigned = this.#mined(header, drafts, unsigned, stream)
      const key = trick === 'forge' ? { ...signing, sign: async () => stream.bytes(64) } : signing
      const sealed = sealCommit(unsigned, await key.sign(signedBytes(unsigned.id)))
      const read = readCommit(sealed.bytes, sha256)
      if (!isRefusal(read)) made.push(read)
    }
    return made
  }

  /** Of some salts, the one whose id wins ties. */
  #mined(
    header: Parameters<typeof composeCommit>[0],
    drafts: readonly Draft[],
    first: UnsignedCommit,
    stream: Stream,
  ): UnsignedCommit {
    let best = first
    for (let tries = 0; tries < 16; tries++) {
      const salted = drafts.map((draft) => ({ ...draft, salt: stream.bytes(12) }))
      const other = composeCommit(header, salted, sha256)
      if (other.id > best.id) best = other
    }
    return best
  }

  #parents(trick: Trick, all: readonly Commit[], item: string, stream: Stream): Commit[] {
    const touching = all.filter(({ changes }) => changes.some(({ key }) => key === item))
    if (trick === 'old policy') return []
    if (trick === 'back-date') return touching.slice(0, stream.int(2))
    if (trick === 'evil merge') return stream.shuffle(touching).slice(0, 3)
    return touching
      .filter(
        ({ id }) =>
          !touching.some(({ changes }) => changes.some(({ key, parents }) => key === item && parents.includes(id))),
      )
      .slice(0, 16)
  }

  #policy(trick: Trick, board: Repository, before: readonly Commit[], stream: Stream): Policy {
    const { database } = this.citizen
    const { log, durableEntries } = board.pipeline
    const newest = database?.root.position
    if (database === undefined || newest === undefined || newest === null) throw new Error('the network is known')
    const floorRoot = before
      .map(({ policy }) => policy.root)
      .reduce((a, b) => (b.n > a.n ? b : a), this.#oldestRoot(database.root.after(0)))
    const floorAuthority = before
      .map(({ policy }) => policy.authority)
      .reduce((a, b) => ((b?.n ?? -1) > (a?.n ?? -1) ? b : a), null)
    const at = (n: number): Position | null => {
      const entry = log.entries[n]
      return entry === undefined ? null : { epoch: entry.epoch, n: entry.n, hash: entry.id }
    }
    const isOld = trick === 'old policy' || trick === 'back-date' || stream.chance(0.2)
    const least = floorAuthority?.n ?? -1
    const top = Math.max(least, durableEntries - 1)
    const place = isOld ? least + stream.int(top - least + 1) : top
    const authority = place === least ? floorAuthority : at(place)
    if (trick === 'policy back') return { root: this.#oldestRoot(database.root.after(0)), authority: null }
    if (trick === 'unknown policy' && authority !== null)
      return { root: newest, authority: { ...authority, n: authority.n + 1, hash: toHex(stream.bytes(32)) } }
    return { root: isOld ? floorRoot : newest, authority }
  }

  #oldestRoot(entries: readonly Uint8Array[]): Position {
    const [first] = entries
    const signed = first === undefined ? undefined : decode(first)
    if (signed === undefined || isRefusal(signed) || !isList(signed) || !isBytes(signed[0]))
      throw new Error('there is no genesis')
    return { epoch: 0, n: 0, hash: toHex(sha256(signed[0])) }
  }

  /** What it sends instead of a message of its engine. */
  pass(to: string, message: Uint8Array, end: object): readonly Uint8Array[] {
    const packed = this.#tap.see(end, message, this.citizen.database?.root.network)
    if (!this.active) return [message]
    const frame = decode(message)
    if (isRefusal(frame) || !isList(frame) || frame[1] !== syncFrame) return [message]
    const body = frame[3]
    if (!isList(body)) return [message]
    const withBody = (changed: readonly Plain[]): Uint8Array[] => [encode([...frame.slice(0, 3), changed])]
    if (body[0] === messages.entries && this.#keepsEntries && to !== 'server')
      return withBody([body[0], body[1] ?? 0, []])
    // It packs nothing, so that nobody misses a pack.
    const commits = packed ?? body[4]
    if ((packed === undefined && body[0] !== messages.push) || !isList(commits)) return [message]
    const kept = commits.filter((one) => {
      if (!isBytes(one)) return true
      const read = readCommit(one, sha256)
      return isRefusal(read) || this.#withheld.get(read.id)?.(to) !== true
    })
    const raw = this.#raw.splice(0)
    return withBody([messages.push, ...body.slice(1, 4), [...kept, ...raw], ...body.slice(5)])
  }
}
